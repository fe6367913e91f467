-- What follows from the provider's answer to a request that open, seal and begin (008) brought on its way.

-- How long to wait before the same bytes go out under the same key again: 2 s doubling to 5 min, half of it jitter.
create function resend_backoff_v1(p_attempts integer)
returns interval
language sql volatile
as $$
  select make_interval(secs => least(300, 2 * 2 ^ least(p_attempts - 1, 10)) * (0.5 + random() / 2))
$$;

-- Record what became of the request. p_ids: provider ids by position, when accepted. p_wait_s: what the provider
-- asked for. p_rate: requests a second that it allows. p_outcome is one of fixionmail.models.Outcome.
-- ok | already | stale
create function settle_batch_v1(
  p_line text, p_batch uuid, p_token bigint, p_outcome text, p_ids jsonb, p_status integer, p_error text,
  p_wait_s double precision, p_rate double precision)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_batch mail_batches;
begin
  select * into v_batch from mail_batches where id = p_batch for no key update;
  if not found or v_batch.token <> p_token then
    return jsonb_build_object('verdict', 'stale');
  elsif v_batch.state not in ('sending', 'ambiguous') then
    return jsonb_build_object('verdict', 'already');
  elsif v_batch.state = 'ambiguous' and p_outcome <> 'accepted' then
    return jsonb_build_object('verdict', 'stale');
  end if;
  if p_outcome = 'accepted' and jsonb_array_length(p_ids) <> v_batch.n then
    p_outcome := 'ambiguous';
    p_error := format('the provider named %s ids for %s mails', jsonb_array_length(p_ids), v_batch.n);
  end if;
  update mail_batches set last_status = p_status, last_error = p_error where id = p_batch returning * into v_batch;
  case p_outcome
    when 'accepted' then perform settle_accepted_v1(v_batch, p_ids);
    when 'refused' then perform settle_refused_v1(v_batch);
    when 'key_conflict' then perform settle_conflict_v1(v_batch);
    when 'sender_refused' then perform settle_sender_v1(v_batch);
    when 'ambiguous', 'concurrent' then
      update mail_batches
         set state = 'ambiguous', maybe_sent = true, holder = null, lease_expires_at = null,
             next_attempt_at = clock_timestamp() + greatest(
               resend_backoff_v1(attempts), make_interval(secs => coalesce(p_wait_s, 0)))
       where id = p_batch;
    else -- unauthorized, rate_limited, quota: nothing was sent; the line waits, the bytes stay
      update mail_batches
         set state = 'sealed', holder = null, lease_expires_at = null,
             next_attempt_at = clock_timestamp() + make_interval(secs => coalesce(p_wait_s, 1))
       where id = p_batch;
  end case;
  perform adjust_line_v1(p_line, p_outcome, p_error, p_wait_s, p_rate);
  return jsonb_build_object('verdict', 'ok');
end
$$;

create function settle_accepted_v1(p_batch mail_batches, p_ids jsonb)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  insert into audit_log (actor, action, target, reason, result)
  select 'settle', 'sent twice', i.delivery_id::text, 'the provider accepted this delivery before, in another batch',
         jsonb_build_object('batch', p_batch.id, 'earlier', o.batch_id, 'earlier_id', o.provider_id)
    from mail_batch_items i
    join mail_batch_items o on o.delivery_id = i.delivery_id and o.outcome = 'accepted' and o.batch_id <> i.batch_id
   where i.batch_id = p_batch.id and i.live;
  with ids as (
    select (ordinality - 1) as place, value #>> '{}' as provider_id
      from jsonb_array_elements(p_ids) with ordinality),
  members as (
    select i.pos, i.delivery_id, row_number() over (order by i.pos) - 1 as place
      from mail_batch_items i where i.batch_id = p_batch.id and i.live),
  ended as (
    update mail_batch_items i set live = false, outcome = 'accepted', provider_id = ids.provider_id
      from members m join ids using (place)
     where i.batch_id = p_batch.id and i.pos = m.pos
    returning i.delivery_id, i.provider_id)
  update scheduled_deliveries d
     set state = case d.state when 'sending' then 'sent' else d.state end,
         provider_id = ended.provider_id, sent_at = v_now, reason = null, updated_at = v_now
    from ended where d.id = ended.delivery_id;
  update mail_batches
     set state = 'accepted', settled_at = v_now, holder = null, lease_expires_at = null
   where id = p_batch.id;
  delete from mail_bodies where batch_id = p_batch.id;
end
$$;

-- The provider refused the whole request and sent nothing of it. One member: it is rejected. Several: two drafts
-- with half of them each, under new keys, until the bad one stands alone.
create function settle_refused_v1(p_batch mail_batches)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_members uuid[];
  v_half uuid;
begin
  select array_agg(delivery_id order by pos) into v_members
    from mail_batch_items where batch_id = p_batch.id and live;
  update mail_batches
     set state = 'rejected', settled_at = v_now, holder = null, lease_expires_at = null
   where id = p_batch.id;
  delete from mail_bodies where batch_id = p_batch.id;
  if cardinality(v_members) = 1 then
    perform end_items_v1(p_batch.id, 'rejected', 'rejected', p_batch.last_error, null);
    return;
  end if;
  perform end_items_v1(p_batch.id, 'refused', 'sending', null, null);
  for v_part in 0..1 loop
    v_half := gen_random_uuid();
    insert into mail_batches
      (id, state, n, due_at, send_until, holder, lease_expires_at, next_attempt_at)
    select v_half, 'draft', count(*), p_batch.due_at, p_batch.send_until, null, v_now + interval '5 minutes', v_now
      from unnest(v_members) with ordinality m(delivery_id, place)
     where (place <= cardinality(v_members) / 2) = (v_part = 0);
    insert into mail_batch_items (batch_id, pos, delivery_id)
    select v_half, row_number() over (order by place) - 1, delivery_id
      from unnest(v_members) with ordinality m(delivery_id, place)
     where (place <= cardinality(v_members) / 2) = (v_part = 0);
  end loop;
end
$$;

-- The sender's address, which is in the bytes, was refused: once it is put right, the mails are made anew. What may
-- have been sent under these bytes keeps them.
create function settle_sender_v1(p_batch mail_batches)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if p_batch.maybe_sent then
    update mail_batches
       set state = 'sealed', holder = null, lease_expires_at = null, next_attempt_at = clock_timestamp()
     where id = p_batch.id;
    return;
  end if;
  perform end_items_v1(p_batch.id, 'refused', 'pending', p_batch.last_error, null);
  update mail_batches
     set state = 'rejected', settled_at = clock_timestamp(), holder = null, lease_expires_at = null
   where id = p_batch.id;
  delete from mail_bodies where batch_id = p_batch.id;
end
$$;

-- Something else was sent under this key: never a new key, a person must look.
create function settle_conflict_v1(p_batch mail_batches)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  perform end_items_v1(p_batch.id, 'uncertain', 'uncertain',
    'the provider has seen this key with another body: ' || coalesce(p_batch.last_error, ''), null);
  update mail_batches
     set state = 'uncertain', settled_at = clock_timestamp(), holder = null, lease_expires_at = null
   where id = p_batch.id;
  delete from mail_bodies where batch_id = p_batch.id;
  insert into audit_log (actor, action, target, reason, result)
  values ('settle', 'key conflict', p_batch.id::text, p_batch.last_error, jsonb_build_object('key', p_batch.key));
end
$$;

-- One answer teaches the whole deployment: the rate the provider allows, how long to stand still and why. A request
-- too many costs a fifth of the rate, once a second; each mail accepted brings back a fiftieth.
create function adjust_line_v1(
  p_line text, p_outcome text, p_error text, p_wait_s double precision, p_rate double precision)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  c_share constant double precision := 0.94; -- the rest is for requests that leave a little after their slot
  v_now timestamptz := clock_timestamp();
begin
  update send_lines set rate = p_rate * c_share, full_rate = p_rate * c_share
   where name = p_line and p_rate > 0 and full_rate is distinct from p_rate * c_share;
  if p_outcome = 'rate_limited' then
    update send_lines
       set next_slot_at = greatest(next_slot_at, v_now + make_interval(secs => coalesce(p_wait_s, 1))),
           rate = case when slowed_at < v_now - interval '1 second'
                    then greatest(rate * 0.8, coalesce(full_rate, rate) / 10) else rate end,
           slowed_at = case when slowed_at < v_now - interval '1 second' then v_now else slowed_at end
     where name = p_line;
  elsif p_outcome in ('unauthorized', 'sender_refused', 'quota') then
    update send_lines
       set paused_until = v_now + make_interval(secs => coalesce(p_wait_s, 60)), paused_reason = p_error
     where name = p_line;
  elsif p_outcome = 'accepted' then
    update send_lines set rate = least(full_rate, rate + full_rate / 50) where name = p_line and rate < full_rate;
  end if;
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'resend_backoff_v1', 'settle_batch_v1', 'settle_accepted_v1', 'settle_refused_v1', 'settle_conflict_v1',
  'settle_sender_v1', 'adjust_line_v1']);
