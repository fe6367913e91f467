-- What an audit of Redis asks the database; writes nothing.

-- Of these story jobs, those that are not there.
create function unknown_story_jobs_v1(p_jobs jsonb)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(named.id), '[]')
      from (select value::uuid as id from jsonb_array_elements_text(p_jobs)) named
     where not exists (select from story_jobs j where j.id = named.id));
end
$$;

-- Story jobs that were rung for and have not been claimed since, in the order in which they are rung for again behind
-- p_after (null to begin); p_limit of them, and those that share the last one's time.
create function announced_story_jobs_v1(p_after timestamptz, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
set enable_sort = off -- else everything that waits is read and sorted for each page
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_after timestamptz := greatest(v_now, coalesce(p_after, v_now));
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('job', id, 'ring_at', ring_at) order by ring_at), '[]') from (
      select id, ring_at from story_jobs
       where state = 'pending' and ring_at > v_after and run_after <= v_now
       order by ring_at fetch first p_limit rows with ties) j);
end
$$;

call close_to_clients_v1(array[]::text[], array['unknown_story_jobs_v1', 'announced_story_jobs_v1']);
