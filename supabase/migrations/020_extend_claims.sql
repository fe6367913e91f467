-- Keeping all claims of a process alive with one call.

-- Extend claims: p_claims is an array of {job, token, step, percent}. stale: the jobs that have passed to others.
create function extend_story_jobs_v1(p_claims jsonb, p_lease_s double precision)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_stale jsonb;
begin
  perform from story_jobs j
    where j.id in (select (c ->> 'job')::uuid from jsonb_array_elements(p_claims) c)
    order by j.id for no key update;
  with claims as (
    select * from jsonb_to_recordset(p_claims) c(job uuid, token bigint, step text, percent integer)),
  extended as (
    update story_jobs j
       set lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s), step = c.step, percent = c.percent
      from claims c
     where j.id = c.job and claim_stands_v1(j, c.token)
    returning j.id)
  select coalesce(jsonb_agg(c.job), '[]') into v_stale
    from claims c where c.job not in (select id from extended);
  return jsonb_build_object('stale', v_stale);
end
$$;

call close_to_clients_v1(array[]::text[], array['extend_story_jobs_v1']);
