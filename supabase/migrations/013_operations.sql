-- What every face of the operations shows of the database: one call, whose cost grows neither with subscribers nor with
-- history. What a constraint rules out is looked for only where that constraint is not in force.

-- Subscribers by status and by time zone are counted like jobs and deliveries, under a day that never was.
alter table counter_base drop constraint counter_base_what_check;
alter table counter_base add constraint counter_base_what_check
  check (what in ('job', 'delivery', 'subscriber', 'zone'));

create function count_users_v1() returns trigger
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into counter_delta (day, what, state, n)
  select '-infinity'::date, 'subscriber', status, tg_argv[0]::integer * count(*) from changed_rows group by status
  union all
  select '-infinity'::date, 'zone', timezone, tg_argv[0]::integer * count(*) from changed_rows group by timezone;
  return null;
end
$$;

create function recount_user_v1() returns trigger
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into counter_delta (day, what, state, n)
  select '-infinity'::date, c.what, c.state, c.n
    from (values ('subscriber', old.status, -1), ('subscriber', new.status, 1),
                 ('zone', old.timezone, -1), ('zone', new.timezone, 1)) c(what, state, n)
   where case c.what when 'zone' then old.timezone <> new.timezone else old.status <> new.status end;
  return null;
end
$$;

create trigger count_inserts after insert on users
  referencing new table as changed_rows for each statement execute function count_users_v1('1');
create trigger count_deletes after delete on users
  referencing old table as changed_rows for each statement execute function count_users_v1('-1');
create trigger count_updates after update of status, timezone on users
  for each row when (old.status <> new.status or old.timezone <> new.timezone)
  execute function recount_user_v1();

insert into counter_base (day, what, state, n)
select '-infinity'::date, 'subscriber', status, count(*) from users group by status
union all
select '-infinity'::date, 'zone', timezone, count(*) from users group by timezone;

create index users_timezone on users (timezone);
-- Always empty while all is well, like the other indexes that only a check reads.
create index users_unreadable_time on users (id)
  where delivery_time !~ '^\s*([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\s*$';
create index story_jobs_failed on story_jobs (finished_at) where state = 'failed';
create index audit_sent_twice on audit_log (at) where action = 'sent twice';

-- How many jobs or deliveries are in a state, whatever their date within days of p_day; what is open is never older.
create function open_count_v1(p_day date, p_what text, p_state text)
returns bigint
language plpgsql stable
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(sum(n), 0)::bigint from (
      select n from counter_base
       where day between p_day - 3 and p_day + 3 and what = p_what and state = p_state
      union all
      select n from counter_delta
       where day between p_day - 3 and p_day + 3 and what = p_what and state = p_state) c);
end
$$;

-- The mail side of a look. p_lead_s: how long before its delivery a story is planned. Counts of what waits are exact
-- up to c_counted rows, and beyond it as long as no more than that wait for their time.
create function mail_side_v1(p_day date, p_lead_s double precision)
returns jsonb
language plpgsql stable
set search_path = public, pg_temp
as $$
declare
  c_counted constant integer := 2000;
  v_now timestamptz := clock_timestamp();
  v_due bigint;
  v_resting bigint;
  v_waiting bigint := open_count_v1(p_day, 'job', 'pending');
begin
  select count(*) into v_due from (
    select from scheduled_deliveries where state = 'pending' and due_at <= v_now limit c_counted) d;
  if v_due = c_counted then
    select greatest(c_counted, open_count_v1(p_day, 'delivery', 'pending') - count(*)) into v_due from (
      select from scheduled_deliveries where state = 'pending' and due_at > v_now limit c_counted) d;
  end if;
  -- A job rests after a failed attempt: nothing is rung for it until then.
  select count(*) into v_resting from (
    select run_after from story_jobs where state = 'pending' order by ring_at desc limit c_counted) j
   where j.run_after > v_now;
  return jsonb_build_object(
    'due', v_due,
    'sending', open_count_v1(p_day, 'delivery', 'sending'),
    'uncertain', (select count(*) from (
        select from scheduled_deliveries where state = 'uncertain' limit c_counted) d),
    'oldest_due_at', (select min(due_at) from scheduled_deliveries where state = 'pending' and due_at <= v_now),
    'next_due_at', (select min(due_at) from scheduled_deliveries where state = 'pending' and due_at > v_now),
    'next_plan_at', (select min(next_due_at) - make_interval(secs => p_lead_s)
                       from subscriber_schedule where active),
    'unplanned', (select count(*) from (
        select from subscriber_schedule
         where active and next_due_at <= v_now + make_interval(secs => p_lead_s) limit c_counted) s),
    'jobs_waiting', v_waiting,
    'jobs_resting', v_resting,
    'jobs_running', open_count_v1(p_day, 'job', 'running'),
    'oldest_job', (select jsonb_build_object('due_at', due_at, 'created_at', created_at)
                     from story_jobs where state = 'pending' order by send_until limit 1),
    'batches', (select coalesce(jsonb_object_agg(state, n), '{}') from (
        select state, count(*) as n from mail_batches where settled_at is null group by state) b),
    'lines', (select coalesce(jsonb_agg(jsonb_build_object(
        'name', name, 'rate', rate, 'paused_until', case when paused_until > v_now then paused_until end,
        'paused_reason', case when paused_until > v_now then paused_reason end) order by name), '[]') from send_lines),
    'switches', (select coalesce(jsonb_agg(to_jsonb(s) order by name), '[]') from switches s where is_on));
end
$$;

-- A few rows of everything that may need somebody: what it is about, what there is to say of it, since when.
create function witnesses_v1(p_day date, p_limit integer)
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
           from (select * from story_jobs where state = 'pending' order by ring_at desc limit 500) j
          where j.attempt >= 3 and j.error is not null order by j.attempt desc limit p_limit)
        union all
        (select 'failing', e.error, e.n::text, e.at
           from (select left(error, 300) as error, count(*) as n, max(at) as at from (
                   (select error, finished_at as at from story_jobs
                     where state = 'failed' and finished_at > clock_timestamp() - interval '1 day'
                     order by finished_at desc limit 500)
                   union all
                   (select error, started_at from story_jobs where state = 'pending' order by ring_at desc limit 500)) j
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

-- Everything at one look; the funnel counts the subscribers' own local date p_day.
create function operations_snapshot_v1(p_day date, p_lead_s double precision, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return jsonb_build_object(
    'now', v_now,
    'counts', day_counts_v1(p_day),
    'users', day_counts_v1('-infinity'),
    'leases', (select coalesce(jsonb_agg(jsonb_build_object(
        'name', name, 'holder', holder, 'fence', fence, 'acquired_at', acquired_at, 'held', expires_at > v_now,
        'info', info) order by name), '[]') from leases),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object(
        'process', process, 'kind', kind, 'host', host, 'pid', pid, 'version', version, 'started_at', started_at,
        'silent_s', extract(epoch from v_now - seen_at), 'info', info) order by kind, process), '[]') from heartbeats),
    'mail', mail_side_v1(p_day, p_lead_s),
    'witnesses', witnesses_v1(p_day, p_limit),
    'jobs_lapsed', (select count(*) from story_jobs where state = 'running' and lease_expires_at < v_now),
    'duplicates', find_duplicates_v1(p_day - 1, p_limit, false) -> 'findings',
    'migrations', migrations_v1(),
    'server', jsonb_build_object(
      'version', current_setting('server_version'),
      -- As of the last vacuum: asking the file system takes longer than all the rest.
      'size', (select sum(relpages::bigint) * current_setting('block_size')::bigint from pg_class),
      'connections', (select sum(numbackends) from pg_stat_database),
      'max_connections', current_setting('max_connections')::integer));
end
$$;

-- The subscribers who live in one of these zones, at most p_limit.
create function subscribers_in_zones_v1(p_zones jsonb, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('user_id', id, 'email', email, 'timezone', timezone)
                              order by email), '[]')
      from (select id, email, timezone from users
             where timezone in (select jsonb_array_elements_text(p_zones)) limit p_limit) u);
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'count_users_v1', 'recount_user_v1', 'open_count_v1', 'mail_side_v1', 'witnesses_v1', 'operations_snapshot_v1',
  'subscribers_in_zones_v1']);
