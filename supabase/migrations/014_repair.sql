-- Mending what slipped in while a constraint was not in force. Every change is compared with what is there under the
-- lock, is recorded in audit_log with all that it took away, and may be called twice.

-- All that decides whether a story job can run, with what became of its delivery; null when there is none.
create function story_job_v1(p_job uuid)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return (
    select jsonb_build_object(
        'state', j.state, 'attempt', j.attempt, 'max_attempts', j.max_attempts, 'error', j.error,
        'due_at', j.due_at, 'send_until', j.send_until, 'run_after', j.run_after, 'ring_at', j.ring_at,
        'holder', j.holder, 'lease_expires_at', j.lease_expires_at, 'step', j.step, 'percent', j.percent,
        'rests', j.state = 'pending' and j.run_after > v_now,
        'too_late', j.state = 'pending' and j.send_until <= v_now,
        'lapsed', j.state = 'running' and j.lease_expires_at <= v_now,
        'subscriber', u.status, 'email', u.email, 'delivery', d.id, 'delivery_state', d.state)
      from story_jobs j
      left join users u on u.id = j.user_id
      left join scheduled_deliveries d on d.job_id = j.id
     where j.id = p_job
     order by d.updated_at desc limit 1);
end
$$;

-- The names of constraints against second mails that are not in force.
create function broken_constraint_names_v1()
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(name order by name), '[]') from broken_constraints_v1());
end
$$;

-- Which of two comes first: what the provider took, the earlier the better; then the older row.
create function comes_first_v1(p_state text, p_sent_at timestamptz, p_id uuid)
returns text
language sql immutable
as $$
  select case when was_accepted_v1(p_state) then '0' else '1' end
         || coalesce(to_char(p_sent_at at time zone 'UTC', 'YYYYMMDDHH24MISSUS'), '9') || p_id::text
$$;

-- Deliveries that stand beside another of the same story, or of the same subscriber and date, which comes first: at
-- most p_limit rows of delivery, keeps, state, why.
create function second_deliveries_v1(p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
set work_mem = '64MB'
as $$
declare
  v_missing text[] := array(select name from broken_constraints_v1());
begin
  return (
    with stories_twice as materialized (
      select story_id from scheduled_deliveries
       where 'unique_story_delivery' = any(v_missing) and story_id is not null
       group by story_id having count(*) > 1 limit p_limit),
    dates_twice as materialized (
      select user_id, local_date from scheduled_deliveries
       where 'one_daily_delivery' = any(v_missing) and kind = 'daily'
       group by user_id, local_date having count(*) > 1 limit p_limit),
    ranked as (
      select d.id, d.state, 'one story' as why, d.story_id::text as same,
             comes_first_v1(d.state, d.sent_at, d.id) as rank
        from stories_twice join scheduled_deliveries d using (story_id)
      union all
      select d.id, d.state, 'one date', d.user_id || ' ' || d.local_date, comes_first_v1(d.state, d.sent_at, d.id)
        from dates_twice join scheduled_deliveries d using (user_id, local_date) where d.kind = 'daily'),
    beside as (
      select id, state, why, first_value(id) over (partition by why, same order by rank) as keeps from ranked)
    select coalesce(jsonb_agg(jsonb_build_object('delivery', b.id, 'keeps', b.keeps, 'state', b.state, 'why', b.why)
                              order by b.id), '[]')
      from (select distinct on (id) * from beside where id <> keeps order by id, why limit p_limit) b);
end
$$;

-- Take a second delivery out, as long as p_keeps is there and shares its story or its date. ok | gone |
-- changed, when they have nothing in common any more | refused, while it is being sent
create function set_aside_delivery_v1(p_delivery uuid, p_keeps uuid, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_delivery scheduled_deliveries := lock_delivery_v1(p_delivery);
  v_items jsonb;
begin
  if v_delivery.id is null then
    return jsonb_build_object('verdict', 'gone');
  elsif not exists (
      select from scheduled_deliveries k
       where k.id = p_keeps and k.id <> p_delivery
         and (k.story_id = v_delivery.story_id
              or (k.user_id = v_delivery.user_id and k.local_date = v_delivery.local_date
                  and k.kind = 'daily' and v_delivery.kind = 'daily'))) then
    return jsonb_build_object('verdict', 'changed');
  elsif exists (select from mail_batch_items where delivery_id = p_delivery and live) then
    return jsonb_build_object('verdict', 'refused', 'reason', 'it is being sent');
  end if;
  select coalesce(jsonb_agg(to_jsonb(i)), '[]') into v_items from mail_batch_items i where delivery_id = p_delivery;
  delete from mail_batch_items where delivery_id = p_delivery;
  delete from scheduled_deliveries where id = p_delivery;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'delivery set aside', p_delivery::text, p_reason,
          jsonb_build_object('keeps', p_keeps, 'delivery', to_jsonb(v_delivery), 'items', v_items));
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- Put a constraint against second mails in force again. ok | already | refused, while rows stand against it |
-- gone, for a name that is none of them
create function restore_constraint_v1(p_name text, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_make text := case p_name
    when 'one_daily_job' then
      'create unique index one_daily_job on story_jobs (user_id, local_date) where kind = ''daily'''
    when 'stories_job_id_key' then 'alter table stories add constraint stories_job_id_key unique (job_id)'
    when 'unique_story_delivery' then
      'alter table scheduled_deliveries add constraint unique_story_delivery unique (story_id)'
    when 'one_daily_delivery' then
      'create unique index one_daily_delivery on scheduled_deliveries (user_id, local_date) where kind = ''daily'''
    when 'one_live_batch' then 'create unique index one_live_batch on mail_batch_items (delivery_id) where live'
    when 'mail_batches_key' then
      'create unique index mail_batches_key on mail_batches (key) where state <> ''dissolved'''
    when 'users_email_key' then 'create unique index users_email_key on users (lower(email))' end;
begin
  if v_make is null then
    return jsonb_build_object('verdict', 'gone');
  elsif not exists (select from broken_constraints_v1() where name = p_name) then
    return jsonb_build_object('verdict', 'already');
  end if;
  begin
    execute format('alter table stories drop constraint if exists %1$I', p_name);
    execute format('alter table scheduled_deliveries drop constraint if exists %1$I', p_name);
    execute format('drop index if exists %I', p_name);
    execute v_make;
  exception when unique_violation then
    return jsonb_build_object('verdict', 'refused', 'reason', 'rows stand against it: repair them first');
  end;
  insert into audit_log (actor, host, action, target, reason)
  values (p_by, p_host, 'constraint restored', p_name, p_reason);
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- Subscribers who share their address with an older one, and jobs whose subscriber is not there: at most p_limit rows
-- of what, id, words.
create function stray_rows_v1(p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_open boolean := exists (select from broken_constraints_v1() where name = 'users_email_key');
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(s) order by s.what, s.id), '[]') from (
      (select 'subscriber' as what, u.id, u.email || ', beside ' || u.first as words
         from (select id, email, status, first_value(id) over (
                        partition by lower(email) order by status = 'removed', created_at, id) as first
                 from users where v_open) u
        where u.id <> u.first limit p_limit)
      union all
      (select 'job', j.id, 'its subscriber ' || j.user_id || ' is not there' from story_jobs j
        where j.state in ('pending', 'running') and not exists (select from users u where u.id = j.user_id)
        limit p_limit)) s);
end
$$;

-- Take a subscriber who shares an address with another out: removed, nothing more is sent, and the address is marked,
-- so that it can be unique again. ok | gone | changed, when nobody shares it any more
create function merge_subscriber_v1(p_user uuid, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_user users;
begin
  perform withdraw_unsent_v1(p_user, 'removed')
    from users u where u.id = p_user
     and exists (select from users o where lower(o.email) = lower(u.email) and o.id <> u.id);
  select * into v_user from users where id = p_user for no key update;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  elsif not exists (select from users where lower(email) = lower(v_user.email) and id <> p_user) then
    return jsonb_build_object('verdict', 'changed');
  end if;
  update users
     set status = 'removed', status_reason = 'stored twice', email = 'second.' || id || '.' || email,
         updated_at = clock_timestamp()
   where id = p_user;
  update subscriber_schedule set active = false where user_id = p_user;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'subscriber merged', p_user::text, p_reason, jsonb_build_object('email', v_user.email));
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- Cancel a job whose subscriber is not there. ok | gone | changed, when there is one, or nothing to cancel
create function cancel_stray_job_v1(p_job uuid, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
begin
  select * into v_job from story_jobs where id = p_job for no key update;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  elsif v_job.state not in ('pending', 'running') or exists (select from users where id = v_job.user_id) then
    return jsonb_build_object('verdict', 'changed');
  end if;
  update story_jobs
     set state = 'cancelled', error = 'its subscriber is not there', finished_at = clock_timestamp(),
         lease_expires_at = null
   where id = p_job;
  insert into audit_log (actor, host, action, target, reason)
  values (p_by, p_host, 'job without subscriber cancelled', p_job::text, p_reason);
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'story_job_v1', 'broken_constraint_names_v1', 'comes_first_v1', 'second_deliveries_v1', 'set_aside_delivery_v1', 'restore_constraint_v1', 'stray_rows_v1',
  'merge_subscriber_v1', 'cancel_stray_job_v1']);
