-- What operators decide about story jobs: that one is not written any more, or is taken up again. Each job is compared
-- with what was seen of it under its lock; locks are taken in the order of the ids, as everywhere.

-- What an operator saw of a job: it changes with its state and with every claim.
create function story_job_seen_v1(p_job story_jobs)
returns text
language sql immutable
as $$
  select p_job.state || ' ' || p_job.token
$$;

-- Of these jobs those that there are: job, state, attempt, max_attempts, seen.
create function seen_story_jobs_v1(p_jobs jsonb)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
             'job', j.id, 'state', j.state, 'attempt', j.attempt, 'max_attempts', j.max_attempts,
             'seen', story_job_seen_v1(j))), '[]')
      from story_jobs j
     where j.id in (select (r #>> '{}')::uuid from jsonb_array_elements(p_jobs) r));
end
$$;

-- Let the stories of these jobs (job, seen) not be written. For each (job, verdict): ok | already | ended, as it is
-- completed or failed | running, under a claim that holds | changed | gone
create function cancel_story_jobs_v1(p_jobs jsonb, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_seen record;
  v_job story_jobs;
  v_verdict text;
  v_answer jsonb := '[]';
begin
  for v_seen in select r.job, r.seen from jsonb_to_recordset(p_jobs) r(job uuid, seen text) order by r.job loop
    select * into v_job from story_jobs where id = v_seen.job for no key update;
    v_verdict := case
      when v_job.id is null then 'gone'
      when v_job.state = 'cancelled' then 'already'
      when v_job.state in ('completed', 'failed') then 'ended'
      when v_job.state = 'running' and v_job.lease_expires_at > clock_timestamp() then 'running'
      when story_job_seen_v1(v_job) <> v_seen.seen then 'changed'
      else 'ok' end;
    if v_verdict = 'ok' then
      update story_jobs
         set state = 'cancelled', error = 'cancelled by ' || p_by || coalesce(': ' || nullif(p_reason, ''), ''),
             finished_at = clock_timestamp(), lease_expires_at = null
       where id = v_seen.job;
      insert into audit_log (actor, host, action, target, reason, result)
      values (p_by, p_host, 'story job cancelled', v_seen.job::text, p_reason,
              jsonb_build_object('was', v_job.state, 'attempt', v_job.attempt, 'error', v_job.error));
    end if;
    v_answer := v_answer || jsonb_build_object('job', v_seen.job, 'verdict', v_verdict);
  end loop;
  return v_answer;
end
$$;

-- Why a job's story cannot be written and sent any more; null when it can.
create function story_job_refusal_v1(p_job story_jobs)
returns text
language sql stable
set search_path = public, pg_temp
as $$
  select case
    when p_job.send_until <= clock_timestamp() then 'it is too late to send its story'
    when u.status is distinct from 'active' then 'the subscriber is ' || coalesce(u.status, 'not there')
    else (select 'its mail is ' || d.state from scheduled_deliveries d
           where d.user_id = p_job.user_id and d.local_date = p_job.local_date and d.kind = p_job.kind
             and not (d.state = 'missed' and d.story_id is null) limit 1) end
    from (select p_job.user_id) j(user_id) left join users u on u.id = j.user_id
$$;

-- Take these jobs (job, seen) up again, at once and with all their attempts. For each (job, verdict): ok |
-- already, it may be claimed now and has not been | ended, its story is written | running, under a claim that holds |
-- changed | refused (with reason) | gone
create function retry_story_jobs_v1(p_jobs jsonb, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_seen record;
  v_job story_jobs;
  v_now timestamptz;
  v_verdict text;
  v_refusal text;
  v_answer jsonb := '[]';
begin
  for v_seen in select r.job, r.seen from jsonb_to_recordset(p_jobs) r(job uuid, seen text) order by r.job loop
    select * into v_job from story_jobs where id = v_seen.job for no key update;
    v_now := clock_timestamp();
    v_refusal := null;
    v_verdict := case
      when v_job.id is null then 'gone'
      when v_job.state = 'completed' then 'ended'
      when v_job.state = 'running' and v_job.lease_expires_at > v_now then 'running'
      when v_job.state = 'pending' and v_job.attempt = 0 and v_job.run_after <= v_now then 'already'
      when story_job_seen_v1(v_job) <> v_seen.seen then 'changed'
      else 'ok' end;
    if v_verdict = 'ok' then
      v_refusal := story_job_refusal_v1(v_job);
    end if;
    if v_refusal is not null then
      v_verdict := 'refused';
    elsif v_verdict = 'ok' then
      update story_jobs
         set state = 'pending', attempt = 0, error = null, holder = null, lease_expires_at = null, finished_at = null,
             step = null, percent = 0, run_after = v_now, ring_at = v_now
       where id = v_seen.job;
      insert into audit_log (actor, host, action, target, reason, result)
      values (p_by, p_host, 'story job taken up again', v_seen.job::text, p_reason,
              jsonb_build_object('was', v_job.state, 'attempt', v_job.attempt, 'error', v_job.error));
    end if;
    v_answer := v_answer || jsonb_strip_nulls(
      jsonb_build_object('job', v_seen.job, 'verdict', v_verdict, 'reason', v_refusal));
  end loop;
  return v_answer;
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'story_job_seen_v1', 'seen_story_jobs_v1', 'cancel_story_jobs_v1', 'story_job_refusal_v1', 'retry_story_jobs_v1']);
