-- Recovery: what a dead holder left behind, and what has become too late. Each repair is recorded with its reason.

-- One pass as the delivery leader with p_fence, at most p_limit rows of each kind.
-- ok{repairs: {kind: n}} | stale
create function reap_v1(p_fence bigint, p_limit integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  if not fence_holds_v1('delivery', p_fence) then
    return jsonb_build_object('verdict', 'stale', 'repairs', '{}'::jsonb);
  end if;
  return jsonb_build_object('verdict', 'ok', 'repairs', jsonb_strip_nulls(jsonb_build_object(
    'jobs_lapsed', nullif(reap_lapsed_jobs_v1(p_limit), 0),
    'jobs_missed', nullif(reap_missed_jobs_v1(p_limit), 0),
    'drafts_dissolved', nullif(reap_drafts_v1(p_limit), 0),
    'batches_ambiguous', nullif(reap_lapsed_batches_v1(p_limit), 0),
    'batches_closed', nullif(reap_windows_v1(p_limit), 0),
    'deliveries_missed', nullif(reap_missed_deliveries_v1(p_limit), 0))));
end
$$;

create function record_repair_v1(p_action text, p_target uuid, p_reason text)
returns void
language sql
set search_path = public, pg_temp
as $$
  insert into audit_log (actor, action, target, reason) values ('reconciler', p_action, p_target::text, p_reason)
$$;

-- A worker that took a job and is gone: the job waits again, or has failed when its attempts are used up.
create function reap_lapsed_jobs_v1(p_limit integer)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_n integer := 0;
  v_reason text;
begin
  for v_job in
    select * from story_jobs
     where state = 'running' and lease_expires_at < clock_timestamp()
     order by id limit p_limit for no key update skip locked
  loop
    v_reason := format('lease of %s lapsed in attempt %s, at step %s', v_job.holder, v_job.attempt, v_job.step);
    if v_job.attempt >= v_job.max_attempts then
      update story_jobs
         set state = 'failed', error = v_reason, finished_at = clock_timestamp(), lease_expires_at = null
       where id = v_job.id;
      perform record_missed_v1(v_job, 'the story could not be written: ' || v_reason);
    else
      update story_jobs
         set state = 'pending', error = v_reason, holder = null, lease_expires_at = null,
             run_after = clock_timestamp(), ring_at = clock_timestamp()
       where id = v_job.id;
    end if;
    perform record_repair_v1('job taken back', v_job.id, v_reason);
    v_n := v_n + 1;
  end loop;
  return v_n;
end
$$;

create function reap_missed_jobs_v1(p_limit integer)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_n integer := 0;
  v_reason text;
begin
  for v_job in
    select * from story_jobs
     where state = 'pending' and send_until < clock_timestamp()
     order by id limit p_limit for no key update skip locked
  loop
    v_reason := 'it was not written in time' || coalesce('; last error: ' || v_job.error, '');
    update story_jobs set state = 'failed', error = v_reason, finished_at = clock_timestamp() where id = v_job.id;
    perform record_missed_v1(v_job, v_reason);
    perform record_repair_v1('job missed', v_job.id, v_reason);
    v_n := v_n + 1;
  end loop;
  return v_n;
end
$$;

-- A draft whose holder is gone: no byte ever left, its members are due again.
create function reap_drafts_v1(p_limit integer)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_batch mail_batches;
  v_n integer := 0;
begin
  for v_batch in
    select * from mail_batches
     where settled_at is null and state = 'draft' and lease_expires_at < clock_timestamp()
     order by id limit p_limit for no key update skip locked
  loop
    perform end_items_v1(v_batch.id, 'withdrawn', 'pending', null, null);
    update mail_batches set state = 'dissolved', settled_at = clock_timestamp() where id = v_batch.id;
    perform record_repair_v1('draft dissolved', v_batch.id,
      format('lease of %s lapsed before its bytes were stored', coalesce(v_batch.holder, 'nobody')));
    v_n := v_n + 1;
  end loop;
  return v_n;
end
$$;

-- A sender that is gone, perhaps in the middle of its request: the same bytes go out again under the same key.
create function reap_lapsed_batches_v1(p_limit integer)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_batch mail_batches;
  v_n integer := 0;
begin
  for v_batch in
    select * from mail_batches
     where settled_at is null and state = 'sending' and lease_expires_at < clock_timestamp()
     order by id limit p_limit for no key update skip locked
  loop
    update mail_batches
       set state = 'ambiguous', maybe_sent = true, holder = null, lease_expires_at = null,
           next_attempt_at = clock_timestamp(),
           last_error = coalesce(last_error, 'the sender died before it had an answer')
     where id = v_batch.id;
    perform record_repair_v1('batch ambiguous', v_batch.id, format('lease of %s lapsed while sending', v_batch.holder));
    v_n := v_n + 1;
  end loop;
  return v_n;
end
$$;

create function reap_windows_v1(p_limit integer)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_batch mail_batches;
  v_n integer := 0;
begin
  for v_batch in
    select b.* from mail_batches b
     where b.settled_at is null and b.state in ('sealed', 'ambiguous') and window_is_over_v1(b)
     order by b.id limit p_limit for no key update skip locked
  loop
    perform close_window_v1(v_batch);
    perform record_repair_v1('batch closed', v_batch.id, 'the time in which it may be sent is over');
    v_n := v_n + 1;
  end loop;
  return v_n;
end
$$;

create function reap_missed_deliveries_v1(p_limit integer)
returns integer
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_id uuid;
  v_n integer := 0;
begin
  for v_id in
    update scheduled_deliveries d
       set state = 'missed', reason = 'it could not be sent in time', updated_at = clock_timestamp()
     where d.id in (select id from scheduled_deliveries
                     where state = 'pending' and due_at <= clock_timestamp() and send_until < clock_timestamp()
                     order by id limit p_limit for no key update skip locked)
    returning d.id
  loop
    perform record_repair_v1('delivery missed', v_id, 'it could not be sent in time');
    v_n := v_n + 1;
  end loop;
  return v_n;
end
$$;

-- What the delivery loop decides by: how much mail work is ready now, how many requests it takes, and when the
-- next delivery or retry becomes due. ready counts no further than it matters.
create function mail_outlook_v1(p_line text, p_start_rate double precision, p_max_size integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_due integer;
  v_ready integer;
  v_next timestamptz;
  v_line send_lines;
begin
  insert into send_lines (name, rate) values (p_line, p_start_rate) on conflict do nothing;
  select * into v_line from send_lines where name = p_line;
  select count(*) into v_due from (
    select from scheduled_deliveries where state = 'pending' and due_at <= v_now and send_until > v_now limit 10000) d;
  select count(*) filter (where next_attempt_at <= v_now), min(next_attempt_at) filter (where next_attempt_at > v_now)
    into v_ready, v_next
    from mail_batches where settled_at is null and (state in ('sealed', 'ambiguous') or (state = 'draft' and holder is null));
  select least(v_next, (select min(due_at) from scheduled_deliveries where state = 'pending' and due_at > v_now))
    into v_next;
  return jsonb_build_object(
    'now', v_now, 'due', v_due, 'ready', v_ready, 'next_at', v_next, 'rate', v_line.rate,
    'requests', v_ready + ceil(v_due::numeric / batch_size_v1(p_line, p_max_size)),
    'held', switch_is_on_v1('mail_held'),
    'paused_until', case when v_line.paused_until > v_now then v_line.paused_until end,
    'paused_reason', case when v_line.paused_until > v_now then v_line.paused_reason end);
end
$$;

-- Rows that nobody needs any more: processes that have been silent for a day.
create function sweep_heartbeats_v1()
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_n integer;
begin
  delete from heartbeats where seen_at < clock_timestamp() - interval '1 day';
  get diagnostics v_n = row_count;
  return jsonb_build_object('forgotten', v_n);
end
$$;

-- Everything that a tick of the delivery loop asks for, as the leader with p_fence.
-- {repairs: see reap_v1, outlook: see mail_outlook_v1}
create function delivery_tick_v1(
  p_fence bigint, p_limit integer, p_line text, p_start_rate double precision, p_max_size integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_repairs jsonb := reap_v1(p_fence, p_limit) -> 'repairs';
begin
  perform fold_counters_v1(), sweep_heartbeats_v1();
  return jsonb_build_object('repairs', v_repairs, 'outlook', mail_outlook_v1(p_line, p_start_rate, p_max_size));
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'delivery_tick_v1', 'reap_v1', 'record_repair_v1', 'reap_lapsed_jobs_v1', 'reap_missed_jobs_v1', 'reap_drafts_v1',
  'reap_lapsed_batches_v1', 'reap_windows_v1', 'reap_missed_deliveries_v1', 'mail_outlook_v1', 'sweep_heartbeats_v1']);
