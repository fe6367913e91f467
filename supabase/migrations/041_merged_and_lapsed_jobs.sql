-- See 014 and 040. Of two databases that were merged, a second job of a date may have no delivery. And see 009 and 039:
-- a job that was taken back from a dead worker waits again, and is no failed story.

-- Which of two comes first: what the provider took, the earlier the better; what it may have taken; what was not too
-- late; then the older row.
create or replace function comes_first_v1(p_state text, p_sent_at timestamptz, p_id uuid)
returns text
language sql immutable
as $$
  select case
           when was_accepted_v1(p_state) then '0'
           when p_state in ('sending', 'uncertain') then '1'
           when p_state <> 'missed' then '2'
           else '3' end
         || coalesce(to_char(p_sent_at at time zone 'UTC', 'YYYYMMDDHH24MISSUS'), '9') || p_id::text
$$;

-- Which of two daily jobs of a date is kept: one with a written delivery, with a story, under a claim that holds, or
-- that can still be written; then one of which a delivery tells that it was missed; then the older one.
create function daily_job_rank_v1(p_job story_jobs)
returns text
language sql stable
set search_path = public, pg_temp
as $$
  select coalesce(
    (select '0' || min(comes_first_v1(d.state, d.sent_at, d.id)) from scheduled_deliveries d
      where d.job_id = p_job.id and d.story_id is not null and d.kind = 'daily'),
    case
      when exists (select from stories s where s.job_id = p_job.id) then '1'
      when p_job.state = 'running' and p_job.lease_expires_at > clock_timestamp() then '2'
      when p_job.state in ('pending', 'running') and p_job.send_until > clock_timestamp() then '3'
      when exists (select from scheduled_deliveries d where d.job_id = p_job.id) then '4'
      else '5' end) || p_job.id::text
$$;

-- Daily jobs that stand beside another one of the same subscriber and date, which is kept, and that have no written
-- delivery (one with such a delivery goes with it): at most p_limit rows of job, keeps, state.
create function second_jobs_v1(p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
set work_mem = '64MB'
as $$
declare
  v_missing boolean := exists (select from broken_constraints_v1() where name = 'one_daily_job');
begin
  return (
    with dates_twice as materialized (
      select user_id, local_date from story_jobs
       where v_missing and kind = 'daily'
       group by user_id, local_date having count(*) > 1 limit p_limit),
    beside as (
      select j.id, j.state, first_value(j.id) over (
               partition by j.user_id, j.local_date order by daily_job_rank_v1(j) collate "C") as keeps
        from dates_twice join story_jobs j using (user_id, local_date) where j.kind = 'daily')
    select coalesce(jsonb_agg(jsonb_build_object('job', b.id, 'keeps', b.keeps, 'state', b.state) order by b.id), '[]')
      from (select * from beside x
             where x.id <> x.keeps and not exists (
               select from scheduled_deliveries d
                where d.job_id = x.id and d.story_id is not null and d.kind = 'daily')
             order by x.id limit p_limit) b);
end
$$;

-- Let a second job stand aside as an extra one that nobody takes up, as long as p_keeps comes before it; a story that it
-- has written stays. ok | gone | changed, when they have nothing in common any more | refused, while it is being written
create function set_aside_job_v1(p_job uuid, p_keeps uuid, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_keeps story_jobs;
  v_now timestamptz;
begin
  perform from story_jobs where id in (p_job, p_keeps) order by id for no key update;
  select * into v_job from story_jobs where id = p_job;
  select * into v_keeps from story_jobs where id = p_keeps;
  v_now := clock_timestamp();
  if v_job.id is null then
    return jsonb_build_object('verdict', 'gone');
  elsif v_keeps.id is null or v_keeps.id = v_job.id or v_keeps.user_id <> v_job.user_id
        or v_keeps.local_date <> v_job.local_date or v_keeps.kind <> 'daily' or v_job.kind <> 'daily'
        or daily_job_rank_v1(v_keeps) collate "C" > daily_job_rank_v1(v_job) collate "C" then
    return jsonb_build_object('verdict', 'changed');
  elsif v_job.state = 'running' and v_job.lease_expires_at > v_now then
    return jsonb_build_object('verdict', 'refused', 'reason', 'it is being written');
  end if;
  update story_jobs
     set kind = 'extra', send_until = least(send_until, v_now)
   where id = p_job;
  if v_job.state in ('pending', 'running') then
    update story_jobs
       set state = 'cancelled', error = 'another job of its date is kept: ' || p_keeps, finished_at = v_now,
           lease_expires_at = null
     where id = p_job;
  end if;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'job set aside', p_job::text, p_reason,
          jsonb_build_object('keeps', p_keeps, 'job', to_jsonb(v_job)));
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- Whether this is what a job says that was taken back from a worker that is gone.
create function is_lapse_v1(p_error text)
returns boolean
language sql immutable
as $$
  select coalesce(p_error, '') like 'lease of % lapsed in attempt %'
$$;

create or replace function witnesses_v1(p_day date, p_limit integer)
returns jsonb
language plpgsql stable
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
        'kind', w.kind, 'subject', w.subject, 'detail', w.detail, 'at', w.at) order by w.kind, w.at desc), '[]')
      from (
        (select 'rejected' as kind, d.user_id::text as subject,
                coalesce(d.address, u.email) || ': ' || coalesce(d.reason, 'no reason given') as detail, d.updated_at as at
           from (select * from scheduled_deliveries where state = 'rejected'
                  order by due_at desc, id desc limit p_limit) d
           join users u on u.id = d.user_id
          where d.local_date >= p_day - 1)
        union all
        (select 'missed', d.id::text, coalesce(d.address, '') || ': ' || coalesce(d.reason, 'no reason given'), d.updated_at
           from (select * from scheduled_deliveries where state = 'missed'
                  order by due_at desc, id desc limit p_limit) d
          where d.local_date >= p_day - 1 and d.story_id is not null)
        union all
        (select 'uncertain', d.id::text, coalesce(d.address, '') || ': ' || coalesce(d.reason, ''), d.updated_at
           from scheduled_deliveries d where d.state = 'uncertain' order by d.due_at desc, d.id desc limit p_limit)
        union all
        (select 'stuck', i.delivery_id::text, format('%s: batch %s is %s after %s attempts%s', d.address, b.id, b.state,
                b.attempts, coalesce(', ' || b.last_error, '')), coalesce(b.first_used_at, b.created_at)
           from mail_batches b
           join mail_batch_items i on i.batch_id = b.id and i.live
           join scheduled_deliveries d on d.id = i.delivery_id
          where b.settled_at is null
            and (b.state = 'ambiguous' or (b.state = 'sending' and b.lease_expires_at < clock_timestamp()))
          order by b.next_attempt_at limit p_limit)
        union all
        (select 'lapsed', j.id::text, format('%s held it, attempt %s, step %s', j.holder, j.attempt, j.step),
                j.lease_expires_at
           from story_jobs j where j.state = 'running' and j.lease_expires_at < clock_timestamp() limit p_limit)
        union all
        (select 'poison', j.id::text, format('%s of %s attempts: %s', j.attempt, j.max_attempts, left(j.error, 300)),
                j.created_at
           from ((select * from story_jobs where state = 'pending' order by ring_at desc limit 500)
                 union all
                 (select * from story_jobs
                   where state = 'failed' and finished_at > clock_timestamp() - interval '1 day'
                     and send_until > clock_timestamp()
                   order by finished_at desc limit 500)) j
          where j.attempt >= 3 and j.error is not null order by j.attempt desc limit p_limit)
        union all
        (select 'failing', e.error, e.n::text, e.at
           from (select left(error, 300) as error, count(*) as n, max(at) as at from (
                   (select error, finished_at as at from story_jobs
                     where state = 'failed' and finished_at > clock_timestamp() - interval '1 day'
                     order by finished_at desc limit 500)
                   union all
                   (select case when not is_lapse_v1(error) then error end, started_at from story_jobs
                     where state = 'pending' order by ring_at desc limit 500)) j
                  where error is not null group by 1 order by 2 desc limit p_limit) e)
        union all
        (select 'orphan', j.id::text, 'its subscriber ' || j.user_id || ' is not there', j.created_at
           from (select * from story_jobs where state = 'pending' order by ring_at limit 200) j
          where not exists (select from users u where u.id = j.user_id) limit p_limit)
        union all
        (select 'time', u.id::text, u.email || ': ' || u.delivery_time, u.updated_at from users u
          where u.delivery_time !~ '^\s*([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\s*$' limit p_limit)) w);
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'daily_job_rank_v1', 'second_jobs_v1', 'set_aside_job_v1', 'is_lapse_v1']);
