-- Planning and writing: one function per transition of a story job. Every function may be called twice with
-- the same arguments; locks are taken in the order job, delivery, user; the clock is read after the lock.

-- The subscribers whose next mail is due before p_until, after the given position, earliest first; nobody while
-- planning is paused.
create function due_subscribers_v1(
  p_until timestamptz, p_limit integer, p_after_due_at timestamptz, p_after_user uuid)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(d)), '[]')
      from (select s.user_id, u.timezone, u.delivery_time, s.next_local_date, s.next_due_at,
                   s.last_local_date, s.last_due_at
              from subscriber_schedule s join users u on u.id = s.user_id
             where s.active and s.next_due_at <= p_until and (select not switch_is_on_v1('scheduler_paused'))
               and (s.next_due_at, s.user_id) > (
                 coalesce(p_after_due_at, '-infinity'),
                 coalesce(p_after_user, '00000000-0000-0000-0000-000000000000'))
             order by s.next_due_at, s.user_id
             limit p_limit) d);
end
$$;

-- A delivery that will not be made, on record with its reason.
create function record_missed_v1(p_job story_jobs, p_reason text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into scheduled_deliveries
    (id, job_id, user_id, kind, local_date, due_at, send_until, state, reason)
  values (gen_random_uuid(), p_job.id, p_job.user_id, p_job.kind, p_job.local_date, p_job.due_at,
          p_job.send_until, 'missed', p_reason)
  on conflict do nothing;
end
$$;

-- Move subscribers on to their next date and create the jobs of this one, as the leader with p_fence.
-- A subscriber who was moved by somebody else in between is left alone. Jobs with a `missed` reason are
-- recorded as cancelled, their delivery as missed.
-- Returns the pending jobs of p_jobs, whether this call created them or an earlier one did.
create function plan_stories_v1(p_fence bigint, p_sweep_s double precision, p_subscribers jsonb, p_jobs jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz;
  v_job story_jobs;
  v_missed integer := 0;
  v_moved uuid[];
begin
  if not fence_holds_v1('scheduler', p_fence) then
    return jsonb_build_object('verdict', 'stale', 'jobs', '[]'::jsonb, 'missed', 0);
  end if;
  perform from subscriber_schedule s
    where s.user_id in (select (r ->> 'user_id')::uuid from jsonb_array_elements(p_subscribers) r)
    order by s.user_id for no key update;
  v_now := clock_timestamp();
  with moved as (
    update subscriber_schedule s
       set next_local_date = r.next_local_date, next_due_at = r.next_due_at,
           last_local_date = r.last_local_date, last_due_at = r.last_due_at
      from jsonb_to_recordset(p_subscribers) r(
             user_id uuid, seen_due_at timestamptz, next_local_date date, next_due_at timestamptz,
             last_local_date date, last_due_at timestamptz)
     where s.user_id = r.user_id and s.active and s.next_due_at = r.seen_due_at
    returning s.user_id)
  select array_agg(user_id) into v_moved from moved;

  insert into story_jobs
    (id, user_id, local_date, due_at, send_until, state, run_after, ring_at, error, finished_at)
  select r.id, r.user_id, r.local_date, r.due_at, r.send_until,
         case when r.missed is null then 'pending' else 'cancelled' end,
         v_now, v_now + make_interval(secs => p_sweep_s), r.missed,
         case when r.missed is null then null else v_now end
    from jsonb_to_recordset(p_jobs) r(
           id uuid, user_id uuid, local_date date, due_at timestamptz, send_until timestamptz, missed text)
    join unnest(v_moved) m(user_id) on m.user_id = r.user_id
   order by r.user_id, r.local_date
  on conflict do nothing;

  for v_job in
    select j.* from story_jobs j
      join jsonb_to_recordset(p_jobs) r(id uuid, missed text) on r.id = j.id
      join unnest(v_moved) m(user_id) on m.user_id = j.user_id
     where r.missed is not null
  loop
    perform record_missed_v1(v_job, v_job.error);
    v_missed := v_missed + 1;
  end loop;

  return jsonb_build_object('verdict', 'ok', 'missed', v_missed, 'jobs', (
    select coalesce(jsonb_agg(j.id order by j.due_at, j.id), '[]')
      from story_jobs j
     where j.id in (select (r ->> 'id')::uuid from jsonb_array_elements(p_jobs) r) and j.state = 'pending'));
end
$$;

-- The pending jobs whose doorbell is to be rung (again), at most p_limit; the next ring is p_sweep_s away.
-- Ringing a job that still waits in Redis is cheap and changes nothing there.
create function ring_stories_v1(p_fence bigint, p_sweep_s double precision, p_limit integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_ids jsonb;
begin
  if not fence_holds_v1('scheduler', p_fence) then
    return jsonb_build_object('verdict', 'stale', 'jobs', '[]'::jsonb);
  end if;
  with due as (
    select id from story_jobs
     where state = 'pending' and ring_at <= clock_timestamp()
     order by ring_at limit p_limit for no key update skip locked),
  rung as (
    update story_jobs j set ring_at = clock_timestamp() + make_interval(secs => p_sweep_s)
      from due where j.id = due.id
    returning j.id, j.due_at)
  select jsonb_agg(id order by due_at, id) into v_ids from rung;
  return jsonb_build_object('verdict', 'ok', 'jobs', coalesce(v_ids, '[]'));
end
$$;

-- Everything a writer needs to know about the job's subscriber; the stories written before are the history.
create function story_brief_v1(p_job story_jobs)
returns jsonb
language sql stable
set search_path = public, pg_temp
as $$
  select jsonb_build_object(
    'job_id', p_job.id, 'user_id', p_job.user_id, 'local_date', p_job.local_date, 'due_at', p_job.due_at,
    'story_bible', u.story_bible,
    'past_titles', coalesce((
      select jsonb_agg(h.title) from (
        select s.title from stories s where s.user_id = p_job.user_id order by s.id desc limit 400) h), '[]'))
    from users u where u.id = p_job.user_id
$$;

-- Take one job for p_lease_s seconds.
-- go{token,attempt,brief} | busy | later{wait_s} | done | failed | cancelled | missed | gone
create function claim_story_job_v1(p_job uuid, p_holder text, p_lease_s double precision, p_charge integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_user users;
  v_now timestamptz;
  v_refusal text;
begin
  select * into v_job from story_jobs where id = p_job for no key update;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  end if;
  v_now := clock_timestamp();
  if v_job.state = 'completed' then
    return jsonb_build_object('verdict', 'done');
  elsif v_job.state in ('failed', 'cancelled') then
    return jsonb_build_object('verdict', v_job.state);
  elsif v_job.state = 'running' and v_job.lease_expires_at > v_now and v_job.holder <> p_holder then
    return jsonb_build_object('verdict', 'busy');
  elsif v_job.state = 'pending' and v_job.run_after > v_now then
    return jsonb_build_object('verdict', 'later', 'wait_s', extract(epoch from v_job.run_after - v_now));
  elsif v_job.send_until <= v_now then
    return jsonb_build_object('verdict', 'missed');
  elsif v_job.attempt >= v_job.max_attempts and v_job.holder is distinct from p_holder then
    update story_jobs
       set state = 'failed', error = coalesce(error, 'every worker that took it died'), finished_at = v_now
     where id = p_job;
    perform record_missed_v1(v_job, 'the story could not be written');
    return jsonb_build_object('verdict', 'failed');
  end if;

  select * into v_user from users where id = v_job.user_id;
  v_refusal := case
    when v_user.status <> 'active' then 'the subscriber is ' || v_user.status
    when p_charge > v_user.credits then 'the subscriber has no credits left' end;
  if v_refusal is not null then
    update story_jobs set state = 'cancelled', error = v_refusal, finished_at = v_now where id = p_job;
    return jsonb_build_object('verdict', 'cancelled');
  end if;

  if v_job.state <> 'running' or v_job.holder <> p_holder then
    update story_jobs
       set state = 'running', holder = p_holder, token = token + 1, attempt = attempt + 1,
           started_at = v_now, step = 'claimed', percent = 0,
           lease_expires_at = v_now + make_interval(secs => p_lease_s)
     where id = p_job returning * into v_job;
  else
    update story_jobs set lease_expires_at = v_now + make_interval(secs => p_lease_s) where id = p_job;
  end if;
  return jsonb_build_object(
    'verdict', 'go', 'token', v_job.token, 'attempt', v_job.attempt, 'brief', story_brief_v1(v_job));
end
$$;

-- True while this claim stands: the job is running, under this token, and its lease has not lapsed.
create function claim_stands_v1(p_job story_jobs, p_token bigint)
returns boolean
language sql
as $$
  select p_job.state = 'running' and p_job.token = p_token and p_job.lease_expires_at > clock_timestamp()
$$;

-- Keep the claim for another p_lease_s seconds and say how far the work is. ok | stale
create function extend_story_job_v1(
  p_job uuid, p_token bigint, p_lease_s double precision, p_step text, p_percent integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
begin
  select * into v_job from story_jobs where id = p_job for no key update;
  if not found or not claim_stands_v1(v_job, p_token) then
    return jsonb_build_object('verdict', 'stale');
  end if;
  update story_jobs
     set lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s),
         step = coalesce(p_step, step), percent = coalesce(p_percent, percent)
   where id = p_job;
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- The story, its delivery, the charge and the end of the job: all of it or nothing.
-- ok{due_now} | already{due_now} | stale
create function complete_story_job_v1(
  p_job uuid, p_token bigint, p_story uuid, p_delivery uuid, p_title text, p_body text, p_writer text,
  p_charge integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_now timestamptz;
begin
  select * into v_job from story_jobs where id = p_job for no key update;
  if v_job.state = 'completed' and exists (select from stories where id = p_story) then
    return jsonb_build_object('verdict', 'already', 'due_now', v_job.due_at <= clock_timestamp());
  end if;
  if not found or not claim_stands_v1(v_job, p_token) then
    return jsonb_build_object('verdict', 'stale');
  end if;
  v_now := clock_timestamp();
  insert into stories (id, job_id, user_id, local_date, title, body, writer)
  values (p_story, p_job, v_job.user_id, v_job.local_date, p_title, p_body, p_writer);
  insert into scheduled_deliveries as d
    (id, job_id, story_id, user_id, kind, local_date, due_at, send_until, state)
  values (p_delivery, p_job, p_story, v_job.user_id, v_job.kind, v_job.local_date, v_job.due_at,
          v_job.send_until, 'pending')
  -- A job that had failed and was taken up again by an operator finds its missed delivery here.
  on conflict (user_id, local_date) where kind = 'daily' do update
    set job_id = excluded.job_id, story_id = excluded.story_id, state = 'pending', reason = null, updated_at = v_now
    where d.state = 'missed' and d.story_id is null;
  if not found then
    raise exception 'a delivery for this subscriber and date is already on its way' using errcode = 'FM001';
  end if;
  update story_jobs
     set state = 'completed', step = 'done', percent = 100, error = null, finished_at = v_now,
         lease_expires_at = null
   where id = p_job;
  if p_charge > 0 then
    update users set credits = credits - p_charge, updated_at = v_now where id = v_job.user_id;
  end if;
  return jsonb_build_object('verdict', 'ok', 'due_now', v_job.due_at <= v_now);
end
$$;

-- This attempt is over. With p_retry_s the job may be claimed again after so many seconds, unless its
-- attempts are used up; without, it has failed for good. retry | failed | already | stale
create function fail_story_job_v1(p_job uuid, p_token bigint, p_error text, p_retry_s double precision)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_again timestamptz;
begin
  select * into v_job from story_jobs where id = p_job for no key update;
  if found and v_job.token = p_token and v_job.state in ('pending', 'failed') then
    return jsonb_build_object('verdict', 'already');
  elsif not found or not claim_stands_v1(v_job, p_token) then
    return jsonb_build_object('verdict', 'stale');
  end if;
  if p_retry_s is null or v_job.attempt >= v_job.max_attempts then
    update story_jobs
       set state = 'failed', error = p_error, finished_at = clock_timestamp(), lease_expires_at = null
     where id = p_job;
    perform record_missed_v1(v_job, 'the story could not be written: ' || p_error);
    return jsonb_build_object('verdict', 'failed');
  end if;
  v_again := clock_timestamp() + make_interval(secs => p_retry_s);
  update story_jobs
     set state = 'pending', error = p_error, holder = null, lease_expires_at = null,
         run_after = v_again, ring_at = v_again
   where id = p_job;
  return jsonb_build_object('verdict', 'retry');
end
$$;

-- Hand a claimed job back untouched (a worker that was told to stop): it costs no attempt. ok | stale
create function release_story_job_v1(p_job uuid, p_token bigint)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  update story_jobs
     set state = 'pending', holder = null, lease_expires_at = null, attempt = attempt - 1,
         run_after = clock_timestamp(), ring_at = clock_timestamp()
   where id = p_job and state = 'running' and token = p_token;
  return jsonb_build_object('verdict', case when found then 'ok' else 'stale' end);
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'due_subscribers_v1', 'record_missed_v1', 'plan_stories_v1', 'ring_stories_v1', 'story_brief_v1',
  'claim_story_job_v1', 'claim_stands_v1', 'extend_story_job_v1', 'complete_story_job_v1', 'fail_story_job_v1',
  'release_story_job_v1']);
