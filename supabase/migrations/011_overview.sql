-- What people look at: one call, whatever the number of subscribers.

-- Jobs and deliveries by state for one local date, folded and not yet folded together.
create function day_counts_v1(p_day date)
returns jsonb
language plpgsql stable
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_object_agg(what, states), '{}') from (
      select what, jsonb_object_agg(state, n) as states from (
        select what, state, sum(n) as n from (
          select what, state, n from counter_base where day = p_day
          union all
          select what, state, n from counter_delta where day = p_day) c
        group by what, state having sum(n) <> 0) s
      group by what) w);
end
$$;

-- Everything the status command, the console and the web service show of the database.
create function overview_v1(p_day date)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return jsonb_build_object(
    'now', v_now,
    'day', p_day,
    'counts', day_counts_v1(p_day),
    'leases', (select coalesce(jsonb_agg(jsonb_build_object(
        'name', name, 'holder', holder, 'fence', fence, 'expires_at', expires_at, 'acquired_at', acquired_at,
        'held', expires_at > v_now, 'info', info) order by name), '[]') from leases),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object(
        'process', process, 'kind', kind, 'host', host, 'pid', pid, 'version', version, 'started_at', started_at,
        'silent_s', extract(epoch from v_now - seen_at), 'info', info) order by kind, process), '[]') from heartbeats),
    'switches', (select coalesce(jsonb_agg(to_jsonb(s) order by name), '[]') from switches s where is_on),
    'lines', (select coalesce(jsonb_agg(jsonb_build_object(
        'name', name, 'rate', rate, 'paused_until', case when paused_until > v_now then paused_until end,
        'paused_reason', case when paused_until > v_now then paused_reason end) order by name), '[]') from send_lines),
    'jobs_waiting', (select count(*) from (select from story_jobs where state = 'pending' limit 100000) j),
    'jobs_running', (select count(*) from story_jobs where state = 'running'),
    'deliveries_due', (select count(*) from (
        select from scheduled_deliveries where state = 'pending' and due_at <= v_now limit 100000) d),
    'oldest_due_at', (select min(due_at) from scheduled_deliveries where state = 'pending' and due_at <= v_now),
    'next_due_at', (select min(due_at) from scheduled_deliveries where state = 'pending' and due_at > v_now),
    'next_plan_due_at', (select min(next_due_at) from subscriber_schedule where active),
    'batches_open', (select coalesce(jsonb_object_agg(state, n), '{}') from (
        select state, count(*) as n from mail_batches where settled_at is null group by state) b));
end
$$;

call close_to_clients_v1(array[]::text[], array['day_counts_v1', 'overview_v1']);
