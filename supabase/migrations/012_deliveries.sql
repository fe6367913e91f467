-- Looking at deliveries, and what an operator may do with one: retry, cancel, resolve. Every change is compare-and-set
-- on the state the operator saw, is recorded in audit_log, and may be called twice. Locks are taken in the order
-- batch, delivery, user.
-- Changes answer ok{state} | already{state} | changed{state}, when it is no longer what was seen | refused{state,reason}
-- | gone

-- Of each state the newest first, for lists; serves what the partial index did.
create index deliveries_newest on scheduled_deliveries (state, due_at, id);
drop index deliveries_open;
create index items_by_delivery on mail_batch_items (delivery_id);
-- A subscriber's history; and two of one date are found in it without a look at the table.
create index deliveries_by_user on scheduled_deliveries (user_id, local_date);

-- A delivery as people see it; address is where it went, or would go now.
create function delivery_row_v1(p_delivery scheduled_deliveries)
returns jsonb
language sql stable
set search_path = public, pg_temp
as $$
  select jsonb_build_object(
      'delivery_id', p_delivery.id, 'user_id', p_delivery.user_id, 'address', coalesce(p_delivery.address, u.email),
      'local_date', p_delivery.local_date, 'due_at', p_delivery.due_at, 'send_until', p_delivery.send_until,
      'state', p_delivery.state, 'reason', p_delivery.reason, 'generation', p_delivery.generation,
      'provider_id', p_delivery.provider_id, 'sent_at', p_delivery.sent_at, 'title', s.title)
    from users u left join stories s on s.id = p_delivery.story_id
   where u.id = p_delivery.user_id
$$;

-- A page of deliveries, newest due first, behind (p_before_due_at, p_before_id). p_states: an array of states; null is
-- all. p_search: a part of the address, title, id or provider id, looked for among the p_scan newest of each state
-- behind that position only; `bounded` says that there are older ones that were not looked at.
create function list_deliveries_v1(
  p_states jsonb, p_search text, p_before_due_at timestamptz, p_before_id uuid, p_limit integer, p_scan integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_each integer := case when p_search is null then p_limit else p_scan end;
  v_states text[] := case when p_states is null
    then array['pending', 'sending', 'sent', 'rejected', 'uncertain', 'missed', 'cancelled', 'suppressed',
               'delivered', 'bounced', 'complained', 'failed']
    else array(select jsonb_array_elements_text(p_states)) end;
begin
  return (
    with newest as (
      select d.*
        from unnest(v_states) as wanted(name)
       cross join lateral (
         select * from scheduled_deliveries
          where state = wanted.name
            and (due_at, id) < (coalesce(p_before_due_at, 'infinity'),
                                coalesce(p_before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
          order by due_at desc, id desc limit v_each) d),
    found as (
      select n.id from newest n join users u on u.id = n.user_id left join stories s on s.id = n.story_id
       where p_search is null
          or position(lower(p_search) in lower(
               concat_ws(E'\n', n.id, n.provider_id, n.address, u.email, s.title))) > 0
       order by n.due_at desc, n.id desc limit p_limit)
    select jsonb_build_object(
      'deliveries', (select coalesce(jsonb_agg(delivery_row_v1(d) order by d.due_at desc, d.id desc), '[]')
                       from scheduled_deliveries d join found using (id)),
      'bounded', p_search is not null and exists (
        select from newest group by state having count(*) >= p_scan)));
end
$$;

-- One delivery with its job, every batch it was in, and what is on record about any of them; null when there is none.
create function show_delivery_v1(p_delivery uuid)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_delivery scheduled_deliveries;
  v_batches jsonb;
begin
  select * into v_delivery from scheduled_deliveries where id = p_delivery;
  if not found then
    return null;
  end if;
  select coalesce(jsonb_agg(jsonb_build_object(
      'batch_id', b.id, 'state', b.state, 'key', b.key, 'n', b.n, 'attempts', b.attempts, 'live', i.live,
      'outcome', i.outcome, 'provider_id', i.provider_id, 'last_status', b.last_status, 'last_error', b.last_error,
      'first_used_at', b.first_used_at, 'created_at', b.created_at, 'settled_at', b.settled_at)
      order by b.created_at, b.id), '[]') into v_batches
    from mail_batch_items i join mail_batches b on b.id = i.batch_id
   where i.delivery_id = p_delivery;
  return jsonb_build_object(
    'delivery', delivery_row_v1(v_delivery),
    'job', (select jsonb_build_object('job_id', id, 'state', state, 'attempt', attempt, 'error', error,
                                      'finished_at', finished_at) from story_jobs where id = v_delivery.job_id),
    'batches', v_batches,
    'audit', (select coalesce(jsonb_agg(to_jsonb(a) order by a.id), '[]') from (
        select * from audit_log
         where target in (select p_delivery::text union all select v_delivery.job_id::text
                          union all select b ->> 'batch_id' from jsonb_array_elements(v_batches) b)
         order by id desc limit 100) a));
end
$$;

-- Lock a delivery and, before it, the batches it is or was in; all null when there is none.
create function lock_delivery_v1(p_delivery uuid)
returns scheduled_deliveries
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_delivery scheduled_deliveries;
begin
  perform from mail_batches
    where id in (select batch_id from mail_batch_items where delivery_id = p_delivery)
    order by id for no key update;
  select * into v_delivery from scheduled_deliveries where id = p_delivery for no key update;
  return v_delivery;
end
$$;

-- The answer for a locked delivery to which nothing can be done, null when it is what was seen.
create function not_as_seen_v1(p_delivery scheduled_deliveries, p_seen_state text, p_done boolean)
returns jsonb
language sql immutable
as $$
  select case
    when p_delivery.id is null then jsonb_build_object('verdict', 'gone')
    when p_done then jsonb_build_object('verdict', 'already', 'state', p_delivery.state)
    when p_delivery.state <> p_seen_state then jsonb_build_object('verdict', 'changed', 'state', p_delivery.state)
  end
$$;

create function refused_v1(p_delivery scheduled_deliveries, p_reason text)
returns jsonb
language sql immutable
as $$
  select jsonb_build_object('verdict', 'refused', 'state', p_delivery.state, 'reason', p_reason)
$$;

-- Put a change on record, and answer it.
create function record_change_v1(
  p_action text, p_was scheduled_deliveries, p_state text, p_by text, p_host text, p_reason text, p_result jsonb)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
begin
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, p_action, p_was.id::text, p_reason,
          jsonb_build_object('was', p_was.state, 'state', p_state) || p_result);
  return jsonb_build_object('verdict', 'ok', 'state', p_state);
end
$$;

-- When the key under which a delivery may have gone out was first used; null when it surely has not gone out. What
-- the provider itself has reported as failed has not. Items that were refused, rejected or withdrawn were not sent.
create function maybe_out_since_v1(p_delivery scheduled_deliveries)
returns timestamptz
language sql stable
set search_path = public, pg_temp
as $$
  select max(b.first_used_at)
    from mail_batch_items i join mail_batches b on b.id = i.batch_id
   where i.delivery_id = p_delivery.id
     and (i.live or i.outcome in ('accepted', 'uncertain'))
     and not (p_delivery.state = 'failed' and i.outcome = 'accepted'
              and coalesce(i.provider_id = p_delivery.provider_id, false))
$$;

-- Why a delivery may not be sent again under a new key; null when it may.
create function retry_refusal_v1(p_delivery scheduled_deliveries)
returns text
language plpgsql stable
set search_path = public, pg_temp
as $$
declare
  v_since timestamptz := maybe_out_since_v1(p_delivery);
  v_status text;
begin
  select status into v_status from users where id = p_delivery.user_id;
  return case
    when p_delivery.state = 'uncertain' then 'it may already have gone out: resolve it first'
    when p_delivery.state not in ('rejected', 'failed', 'missed', 'cancelled') then 'it is ' || p_delivery.state
    when v_since is not null then format('it may already have gone out: its key was first used at %s',
      to_char(v_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
    when p_delivery.story_id is null then 'its story was never written: retry its job instead'
    when v_status <> 'active' then 'the subscriber is ' || v_status
  end;
end
$$;

-- Send again what was surely not received: due now, for six hours, under a new key.
create function retry_delivery_v1(p_delivery uuid, p_seen_state text, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_was scheduled_deliveries := lock_delivery_v1(p_delivery);
  v_now timestamptz := clock_timestamp();
  v_answer jsonb := not_as_seen_v1(v_was, p_seen_state, v_was.state = 'pending');
  v_refusal text;
begin
  if v_answer is not null then
    return v_answer;
  end if;
  v_refusal := retry_refusal_v1(v_was);
  if v_refusal is not null then
    return refused_v1(v_was, v_refusal);
  end if;
  -- What the provider took and then failed to deliver no longer counts as accepted.
  update mail_batch_items set outcome = 'rejected' where delivery_id = p_delivery and outcome = 'accepted';
  update scheduled_deliveries
     set state = 'pending', reason = null, address = null, provider_id = null, sent_at = null,
         generation = generation + 1, due_at = v_now, send_until = v_now + interval '6 hours', updated_at = v_now
   where id = p_delivery;
  return record_change_v1('delivery retried', v_was, 'pending', p_by, p_host, p_reason,
    jsonb_build_object('generation', v_was.generation + 1, 'old_reason', v_was.reason,
                       'old_provider_id', v_was.provider_id));
end
$$;

-- Keep back what has not left: it waits, or is in a batch whose key was never used.
create function cancel_delivery_v1(p_delivery uuid, p_seen_state text, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_was scheduled_deliveries := lock_delivery_v1(p_delivery);
  v_answer jsonb := not_as_seen_v1(v_was, p_seen_state, v_was.state = 'cancelled');
  v_batch mail_batches;
  v_reason text := format('cancelled by %s: %s', p_by, p_reason);
begin
  if v_answer is not null then
    return v_answer;
  elsif v_was.state not in ('pending', 'sending') then
    return refused_v1(v_was, 'it is ' || v_was.state);
  end if;
  if v_was.state = 'sending' then
    select b.* into v_batch
      from mail_batch_items i join mail_batches b on b.id = i.batch_id
     where i.delivery_id = p_delivery and i.live for no key update of b;
    if not found or v_batch.first_used_at is not null then
      return refused_v1(v_was, 'it is being sent: it may already have gone out');
    end if;
    perform end_items_v1(v_batch.id, 'withdrawn', 'cancelled', v_reason, array[p_delivery]);
    perform redraft_v1(v_batch.id);
  else
    update scheduled_deliveries
       set state = 'cancelled', reason = v_reason, updated_at = clock_timestamp() where id = p_delivery;
  end if;
  return record_change_v1('delivery cancelled', v_was, 'cancelled', p_by, p_host, p_reason,
                          jsonb_build_object('batch', v_batch.id));
end
$$;

-- A batch that was never begun lost a member: whoever holds it must not seal or send what it has; a new draft is made
-- of the rest.
create function redraft_v1(p_batch uuid)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_left integer;
begin
  select count(*) into v_left from mail_batch_items where batch_id = p_batch and live;
  delete from mail_bodies where batch_id = p_batch;
  update mail_batches
     set state = case when v_left = 0 then 'dissolved' else 'draft' end,
         settled_at = case when v_left = 0 then v_now end,
         n = v_left, key = null, sha256 = null, body_len = null, holder = null, token = token + 1,
         lease_expires_at = v_now + interval '5 minutes', next_attempt_at = v_now
   where id = p_batch;
end
$$;

-- Say what became of a delivery of which nobody was certain. p_sent: it went out, as p_provider_id at p_sent_at (null:
-- when its key was first used). Otherwise it did not, and is missed: it may then be retried under a new key.
create function resolve_delivery_v1(
  p_delivery uuid, p_seen_state text, p_sent boolean, p_provider_id text, p_sent_at timestamptz, p_evidence jsonb,
  p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_was scheduled_deliveries := lock_delivery_v1(p_delivery);
  v_state text := case when p_sent then 'sent' else 'missed' end;
  v_answer jsonb := not_as_seen_v1(v_was, p_seen_state, case when p_sent
    then v_was.provider_id = p_provider_id and was_accepted_v1(v_was.state)
    else v_was.state = 'missed' end);
  v_other uuid;
begin
  if v_answer is not null then
    return v_answer;
  elsif v_was.state <> 'uncertain' then
    return refused_v1(v_was, format('it is %s: only what is uncertain can be resolved', v_was.state));
  elsif p_sent and coalesce(p_provider_id, '') = '' then
    return refused_v1(v_was, 'a mail that was sent has a provider id');
  end if;
  select id into v_other from scheduled_deliveries where provider_id = p_provider_id and id <> p_delivery limit 1;
  if p_sent and found then
    return refused_v1(v_was, format('provider id %s is that of delivery %s', p_provider_id, v_other));
  end if;
  update mail_batch_items
     set outcome = case when p_sent then 'accepted' else 'withdrawn' end,
         provider_id = case when p_sent then p_provider_id end
   where delivery_id = p_delivery and outcome = 'uncertain';
  update scheduled_deliveries
     set state = v_state, updated_at = clock_timestamp(),
         provider_id = case when p_sent then p_provider_id end,
         sent_at = case when p_sent then coalesce(p_sent_at, maybe_out_since_v1(v_was)) end,
         reason = case when not p_sent then format('not sent, says %s: %s', p_by, p_reason) end
   where id = p_delivery;
  return record_change_v1('delivery resolved', v_was, v_state, p_by, p_host, p_reason,
    jsonb_build_object('provider_id', p_provider_id, 'evidence', p_evidence, 'old_reason', v_was.reason));
end
$$;

-- The constraints without which a mail could go out twice, as far as they are missing or not in force.
create function broken_constraints_v1()
returns table (name text, problem text)
language plpgsql stable
set search_path = public, pg_temp
as $$
begin
  return query
  select wanted.name, case when c.oid is null then 'missing' when not x.indisvalid then 'invalid' else 'not unique' end
    from (values ('one_daily_job', 'story_jobs'), ('stories_job_id_key', 'stories'),
                 ('unique_story_delivery', 'scheduled_deliveries'), ('one_daily_delivery', 'scheduled_deliveries'),
                 ('one_live_batch', 'mail_batch_items'), ('mail_batches_key', 'mail_batches'),
                 ('users_email_key', 'users')) wanted(name, on_table)
    left join pg_class c on c.relname = wanted.name::name and c.relnamespace = 'public'::regnamespace and c.relkind = 'i'
    left join pg_index x on x.indexrelid = c.oid and x.indrelid = ('public.' || wanted.on_table)::regclass
   where x.indisunique is distinct from true or not x.indisvalid;
end
$$;

-- True for the states of a delivery that the provider took.
create function was_accepted_v1(p_state text)
returns boolean
language sql immutable
as $$
  select p_state in ('sent', 'delivered', 'bounced', 'complained', 'failed')
$$;

-- Second mails that a constraint would have ruled out, were it in force; p_missing names those that are not.
create function slipped_through_v1(p_missing text[], p_since date, p_limit integer)
returns table (kind text, subject text, deliveries jsonb, detail text)
language plpgsql stable
set search_path = public, pg_temp
set work_mem = '64MB'
as $$
begin
  if 'unique_story_delivery' = any(p_missing) then
    return query
    with twice as (
      select d.story_id from scheduled_deliveries d
       where d.local_date >= p_since and was_accepted_v1(d.state) and d.story_id is not null
       group by d.story_id having count(*) > 1 limit p_limit)
    select 'same_story', d.story_id::text, jsonb_agg(d.id order by d.id), 'one story, accepted ' || count(*) || ' times'
      from twice join scheduled_deliveries d using (story_id)
     where was_accepted_v1(d.state) group by d.story_id;
  end if;
  if 'one_daily_delivery' = any(p_missing) then
    return query
    with twice as materialized (
      select d.user_id, d.local_date from scheduled_deliveries d
       where d.local_date >= p_since group by d.user_id, d.local_date having count(*) > 1)
    select 'same_date', d.user_id::text, jsonb_agg(d.id order by d.id),
           d.local_date || ', accepted ' || count(*) || ' times'
      from twice join scheduled_deliveries d using (user_id, local_date)
     where was_accepted_v1(d.state) and d.kind = 'daily'
     group by d.user_id, d.local_date having count(*) > 1 limit p_limit;
  end if;
  if 'users_email_key' = any(p_missing) then
    return query
    select 'same_address', lower(u.email), '[]'::jsonb,
           count(*) || ' subscribers: ' || string_agg(u.id::text, ', ' order by u.id)
      from users u where u.status <> 'removed' group by lower(u.email) having count(*) > 1 limit p_limit;
  end if;
end
$$;

-- What looks like a second mail, or could hide one, at most p_limit of each kind: rows of kind, subject, deliveries,
-- detail. p_since bounds what is looked for by local date. What a constraint in force rules out is not looked for.
-- p_scan: count all that the provider accepted; otherwise what settling a batch has put on record is taken for it, and
-- the answer costs nothing however much was sent.
create function find_duplicates_v1(p_since date, p_limit integer, p_scan boolean)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_problems jsonb := (select coalesce(jsonb_object_agg(name, problem), '{}') from broken_constraints_v1());
  v_twice uuid[];
begin
  if p_scan then
    v_twice := array(select delivery_id from mail_batch_items
                      where outcome = 'accepted' group by delivery_id having count(*) > 1 limit p_limit);
  else
    v_twice := array(select distinct target::uuid from audit_log
                      where action = 'sent twice' and at >= p_since limit p_limit);
  end if;
  return (
    with rows as (
      select * from slipped_through_v1(array(select jsonb_object_keys(v_problems)), p_since, p_limit)
      union all
      select 'accepted_twice', t.id::text, jsonb_build_array(t.id),
             'provider ids ' || (select string_agg(coalesce(provider_id, 'unknown'), ', ' order by batch_id)
                                   from mail_batch_items where delivery_id = t.id and outcome = 'accepted')
        from unnest(v_twice) t(id)
      union all
      (select 'sent_without_id', id::text, jsonb_build_array(id), 'it is ' || state
         from scheduled_deliveries where state in ('sent', 'delivered') and provider_id is null limit p_limit)
      union all
      select 'constraint', key, '[]', value from jsonb_each_text(v_problems)
      union all
      -- A leader reports right after each renewal; whoever takes over can only do so when that has lapsed.
      select 'two_leaders', h.kind, '[]', string_agg(process, ', ' order by process)
        from heartbeats h where info -> 'leads' = 'true' and seen_at > clock_timestamp() - interval '15 seconds'
       group by h.kind having count(*) > 1)
    select jsonb_build_object('findings', coalesce(jsonb_agg(to_jsonb(r) order by r.kind, r.subject), '[]'))
      from rows r);
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'delivery_row_v1', 'list_deliveries_v1', 'show_delivery_v1', 'lock_delivery_v1', 'not_as_seen_v1', 'refused_v1',
  'record_change_v1', 'maybe_out_since_v1', 'retry_refusal_v1', 'retry_delivery_v1', 'cancel_delivery_v1', 'redraft_v1',
  'resolve_delivery_v1', 'broken_constraints_v1', 'was_accepted_v1', 'slipped_through_v1', 'find_duplicates_v1']);
