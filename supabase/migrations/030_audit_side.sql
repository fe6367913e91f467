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

-- Story jobs that were rung for and have not been claimed since, in the order in which they are rung for again, at most
-- p_limit behind (p_after_ring_at, p_after_id); both null to begin.
create function announced_story_jobs_v1(p_after_ring_at timestamptz, p_after_id uuid, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_from timestamptz := greatest(v_now, coalesce(p_after_ring_at, v_now));
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('job', id, 'ring_at', ring_at) order by ring_at, id), '[]') from (
      select id, ring_at from story_jobs
       where state = 'pending' and ring_at >= v_from and run_after <= v_now and send_until > v_now
         and (p_after_id is null or (ring_at, id) > (p_after_ring_at, p_after_id))
       order by ring_at, id limit p_limit) j);
end
$$;

call close_to_clients_v1(array[]::text[], array['unknown_story_jobs_v1', 'announced_story_jobs_v1']);
