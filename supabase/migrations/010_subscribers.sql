-- Adding, finding and changing subscribers. Dates and instants are computed by the caller (fixionmail.schedule).

-- Add those whose address is not known yet. A removed subscriber is taken back with the dates it had, so that
-- leaving and coming back on one day does not bring a second mail. Others are left as they are.
-- Returns for each row, in order: added | restored | known
create function add_subscribers_v1(p_rows jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_added uuid[];
  v_restored uuid[];
begin
  -- In one order everywhere, so that two imports of the same file do not wait for each other in a circle.
  with new_users as (
    insert into users as u (id, email, timezone, delivery_time, story_bible, unsubscribe_token)
    select distinct on (lower(r.email))
           r.id, r.email, r.timezone, r.delivery_time, r.story_bible, r.unsubscribe_token
      from rows from (jsonb_to_recordset(p_rows) as (
             id uuid, email text, timezone text, delivery_time text, story_bible jsonb, unsubscribe_token text))
             with ordinality r(id, email, timezone, delivery_time, story_bible, unsubscribe_token, place)
     order by lower(r.email), place
    on conflict (lower(email)) do update
      set status = 'active', status_reason = null, timezone = excluded.timezone,
          delivery_time = excluded.delivery_time, story_bible = excluded.story_bible, updated_at = clock_timestamp()
      where u.status = 'removed'
    returning u.id, u.email, u.id = any(select (x ->> 'id')::uuid from jsonb_array_elements(p_rows) x) as is_new)
  select array_agg(id) filter (where is_new), array_agg(id) filter (where not is_new)
    into v_added, v_restored from new_users;

  insert into subscriber_schedule as s (user_id, next_local_date, next_due_at)
  select distinct on (u.id) u.id, r.next_local_date, r.next_due_at
    from rows from (jsonb_to_recordset(p_rows) as (email text, next_local_date date, next_due_at timestamptz))
           with ordinality r(email, next_local_date, next_due_at, place)
    join users u on lower(u.email) = lower(r.email)
    join unnest(v_added || v_restored) changed(id) on changed.id = u.id
   order by u.id, place
  on conflict (user_id) do update
    set active = true,
        next_local_date = greatest(excluded.next_local_date, s.last_local_date + 1),
        next_due_at = case when excluded.next_local_date > coalesce(s.last_local_date, '-infinity')
                           then excluded.next_due_at else greatest(s.next_due_at, excluded.next_due_at) end;

  return (
    select coalesce(jsonb_agg(case when u.id = r.id then 'added'
                                   when restored.id is not null then 'restored' else 'known' end order by r.place), '[]')
      from (select x.place, (x.row ->> 'id')::uuid as id, x.row ->> 'email' as email
              from jsonb_array_elements(p_rows) with ordinality x(row, place)) r
      join users u on lower(u.email) = lower(r.email)
      left join unnest(v_restored) restored(id) on restored.id = u.id);
end
$$;

-- A subscriber as people see it.
create function subscriber_v1(p_user users)
returns jsonb
language sql stable
set search_path = public, pg_temp
as $$
  select jsonb_build_object(
      'user_id', p_user.id, 'email', p_user.email, 'status', p_user.status, 'status_reason', p_user.status_reason,
      'timezone', p_user.timezone, 'delivery_time', p_user.delivery_time, 'story_bible', p_user.story_bible,
      'credits', p_user.credits, 'created_at', p_user.created_at,
      'next_local_date', s.next_local_date, 'next_due_at', case when s.active then s.next_due_at end,
      'last_local_date', s.last_local_date, 'last_due_at', s.last_due_at)
    from subscriber_schedule s where s.user_id = p_user.id
$$;

-- One subscriber by address or id, with the last deliveries; null when there is none.
create function find_subscriber_v1(p_who text, p_deliveries integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_user users;
begin
  select * into v_user from users
   where lower(email) = lower(p_who)
      or id = case when p_who ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_who::uuid end;
  if not found then
    return null;
  end if;
  return subscriber_v1(v_user) || jsonb_build_object('deliveries', (
    select coalesce(jsonb_agg(to_jsonb(h)), '[]') from (
      select d.id as delivery_id, d.local_date, d.due_at, d.state, d.reason, d.sent_at, s.title
        from scheduled_deliveries d left join stories s on s.id = d.story_id
       where d.user_id = v_user.id order by d.local_date desc limit p_deliveries) h));
end
$$;

-- A page of subscribers in the order of their addresses, after p_after. p_status null: all but the removed.
create function list_subscribers_v1(p_status text, p_search text, p_after text, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(subscriber_v1(u) order by lower(u.email)), '[]')
      from (select * from users
             where (case when p_status is null then status <> 'removed' else status = p_status end)
               and (p_search is null or position(lower(p_search) in lower(email)) > 0)
               and lower(email) > coalesce(lower(p_after), '')
             order by lower(email) limit p_limit) u);
end
$$;

-- Change whether a subscriber gets mail. Anything but active also withdraws what has not left yet.
-- p_seen_status: what whoever decides this saw; null when it holds whatever they were.
-- ok | already | gone | changed
create function set_subscriber_status_v1(
  p_user uuid, p_status text, p_reason text, p_by text, p_host text, p_next_local_date date, p_next_due_at timestamptz,
  p_seen_status text default null)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_user users;
  v_now timestamptz;
begin
  begin
    perform withdraw_unsent_v1(p_user, p_status) where p_status <> 'active';
    select * into v_user from users where id = p_user for no key update;
    if v_user.status not in (p_seen_status, p_status) then
      raise exception sqlstate 'FM001'; -- takes back what was withdrawn
    end if;
  exception when sqlstate 'FM001' then
    return jsonb_build_object('verdict', 'changed');
  end;
  if v_user.id is null then
    return jsonb_build_object('verdict', 'gone');
  elsif v_user.status = p_status then
    return jsonb_build_object('verdict', 'already');
  end if;
  v_now := clock_timestamp();
  update users set status = p_status, status_reason = p_reason, updated_at = v_now where id = p_user;
  update subscriber_schedule
     set active = (p_status = 'active'),
         next_local_date = coalesce(p_next_local_date, next_local_date),
         next_due_at = coalesce(p_next_due_at, next_due_at)
   where user_id = p_user;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'subscriber ' || p_status, p_user::text, coalesce(p_reason, ''),
          jsonb_build_object('was', v_user.status));
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- Cancel a subscriber's jobs and deliveries that have not left. What is in a batch is sorted out by begin_batch.
create function withdraw_unsent_v1(p_user uuid, p_status text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  update story_jobs
     set state = 'cancelled', error = 'the subscriber is ' || p_status, finished_at = clock_timestamp()
   where user_id = p_user and state = 'pending';
  update scheduled_deliveries
     set state = withdrawn_state_v1(p_status), reason = 'the subscriber is ' || p_status, updated_at = clock_timestamp()
   where user_id = p_user and state = 'pending';
end
$$;

-- Change what a subscriber asked for; null leaves a value as it is. ok | gone
create function change_subscriber_v1(
  p_user uuid, p_timezone text, p_delivery_time text, p_story_bible jsonb, p_next_local_date date,
  p_next_due_at timestamptz)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  update users
     set timezone = coalesce(p_timezone, timezone), delivery_time = coalesce(p_delivery_time, delivery_time),
         story_bible = story_bible || coalesce(p_story_bible, '{}'), updated_at = clock_timestamp()
   where id = p_user;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  end if;
  update subscriber_schedule
     set next_local_date = coalesce(p_next_local_date, next_local_date),
         next_due_at = coalesce(p_next_due_at, next_due_at)
   where user_id = p_user;
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'add_subscribers_v1', 'subscriber_v1', 'find_subscriber_v1', 'list_subscribers_v1', 'set_subscriber_status_v1',
  'withdraw_unsent_v1', 'change_subscriber_v1']);
