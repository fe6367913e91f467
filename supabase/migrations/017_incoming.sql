-- What reaches us from outside: the mail provider's events, and readers who unsubscribe by the link in a mail.

-- Which events were taken in, so that one that comes again changes nothing. Kept for ninety days.
create table provider_events (
  id text primary key,               -- the message id that the provider signs
  kind text not null,
  provider_id text not null,         -- of the mail it is about
  delivery_id uuid,                  -- null when it is about a mail that we do not know
  happened_at timestamptz not null,
  received_at timestamptz not null default clock_timestamp()
);
create index provider_events_received on provider_events (received_at);
create index provider_events_delivery on provider_events (delivery_id) where delivery_id is not null;

-- The state that an event means, and how much it outweighs others: whatever comes in which order, the heaviest
-- stays. A mail that was delivered did not fail, whatever is said later; one that was delivered may still bounce.
create function event_state_v1(p_kind text)
returns text
language sql immutable
as $$
  select case p_kind
    when 'email.sent' then 'sent' when 'email.delivery_delayed' then 'sent'
    when 'email.failed' then 'failed' when 'email.suppressed' then 'failed'
    when 'email.delivered' then 'delivered' when 'email.opened' then 'delivered' when 'email.clicked' then 'delivered'
    when 'email.bounced' then 'bounced' when 'email.complained' then 'complained' end
$$;

create function outcome_weight_v1(p_state text)
returns integer
language sql immutable
as $$
  select case p_state
    when 'sent' then 1 when 'failed' then 2 when 'delivered' then 3 when 'bounced' then 4 when 'complained' then 5
    else 0 end
$$;

-- Take in one event about the mail p_provider_id. p_delivery: the delivery that the mail's own tag names, if any.
-- p_detail: the provider's words. p_suppress: nothing may be sent to this address again.
-- ok{state} | already | unknown, when it is about no mail of ours
create function record_event_v1(
  p_event text, p_kind text, p_provider_id text, p_delivery uuid, p_happened_at timestamptz, p_detail text,
  p_suppress boolean)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_id uuid;
  v_was scheduled_deliveries;
  v_state text;
begin
  delete from provider_events where id in (
    select id from provider_events where received_at < clock_timestamp() - interval '90 days'
     order by received_at limit 20 for update skip locked);
  select id into v_id from scheduled_deliveries where provider_id = p_provider_id order by id limit 1;
  if not found then
    select id into v_id from scheduled_deliveries where id = p_delivery;
  end if;
  insert into provider_events (id, kind, provider_id, delivery_id, happened_at)
  values (p_event, p_kind, p_provider_id, v_id, p_happened_at) on conflict do nothing;
  if not found then
    return jsonb_build_object('verdict', 'already');
  elsif v_id is null then
    return jsonb_build_object('verdict', 'unknown');
  end if;
  if p_suppress then
    -- Suppressing withdraws the subscriber's other work: jobs are locked before deliveries everywhere.
    perform from story_jobs
      where state = 'pending' and user_id = (select user_id from scheduled_deliveries where id = v_id)
      order by id for no key update;
  end if;
  v_was := lock_delivery_v1(v_id);
  v_state := fold_event_v1(v_was, p_kind, p_provider_id, p_happened_at, p_detail);
  if p_suppress then
    perform suppress_address_v1(v_was, p_kind, p_detail);
  end if;
  return jsonb_build_object('verdict', 'ok', 'state', v_state);
end
$$;

-- Fold an event into its locked delivery; the state that it has then. Evidence that a mail left is taken whatever we
-- believed: a delivery that we did not know to be sent is not sent again.
create function fold_event_v1(
  p_was scheduled_deliveries, p_kind text, p_provider_id text, p_happened_at timestamptz, p_detail text)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_state text := event_state_v1(p_kind);
  v_earlier boolean;
  v_batch uuid;
begin
  select exists (select from mail_batch_items
                  where delivery_id = p_was.id and provider_id = p_provider_id and outcome = 'rejected')
    into v_earlier;
  if v_state is null
     or p_was.story_id is null
     or outcome_weight_v1(v_state) <= outcome_weight_v1(p_was.state)
     -- An earlier attempt, which an operator has since replaced, only matters when it arrived after all.
     or (v_earlier and v_state in ('sent', 'failed')) then
    return p_was.state;
  end if;
  if p_was.provider_id <> p_provider_id and not v_earlier then
    insert into audit_log (actor, action, target, reason, result)
    values ('provider', 'sent twice', p_was.id::text, 'the provider reports a second mail for this delivery',
            jsonb_build_object('provider_id', p_provider_id, 'earlier_id', p_was.provider_id));
  end if;
  -- It waits in a batch that was never begun, although it has been sent: the database was restored. Take it out.
  select b.id into v_batch from mail_batch_items i join mail_batches b on b.id = i.batch_id
   where i.delivery_id = p_was.id and i.live and b.first_used_at is null;
  if found then
    perform end_items_v1(v_batch, 'withdrawn', v_state, null, array[p_was.id]);
    perform redraft_v1(v_batch);
  end if;
  update mail_batch_items set outcome = 'accepted', provider_id = p_provider_id
   where delivery_id = p_was.id and outcome = 'uncertain';
  update scheduled_deliveries
     set state = v_state,
         provider_id = case when v_earlier then p_provider_id else coalesce(provider_id, p_provider_id) end,
         sent_at = coalesce(sent_at, p_happened_at),
         reason = case when v_state in ('failed', 'bounced', 'complained') then nullif(p_detail, '') end,
         updated_at = clock_timestamp()
   where id = p_was.id;
  if not was_accepted_v1(p_was.state) and p_was.state <> 'sending' then
    insert into audit_log (actor, action, target, reason, result)
    values ('provider', 'delivery resolved', p_was.id::text, 'the provider reported ' || p_kind,
            jsonb_build_object('was', p_was.state, 'state', v_state, 'provider_id', p_provider_id));
  end if;
  return v_state;
end
$$;

-- Send nothing more to the address that a delivery went to, as long as the subscriber still has that address.
create function suppress_address_v1(p_delivery scheduled_deliveries, p_kind text, p_detail text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  perform set_subscriber_status_v1(u.id, 'suppressed', p_kind || coalesce(': ' || nullif(p_detail, ''), ''),
                                   'provider', '', null, null)
    from users u
   where u.id = p_delivery.user_id and u.status in ('active', 'paused')
     and lower(coalesce(p_delivery.address, u.email)) = lower(u.email);
end
$$;

-- The status of the subscriber whose mails carry this token; null when there is none.
create function unsubscribe_status_v1(p_token text)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (select jsonb_build_object('status', status) from users where unsubscribe_token = p_token);
end
$$;

-- Stop the mail of the subscriber whose mails carry this token. ok | already, when there is no mail to stop | unknown
create function unsubscribe_v1(p_token text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_user users;
begin
  select * into v_user from users where unsubscribe_token = p_token;
  if not found then
    return jsonb_build_object('verdict', 'unknown');
  elsif v_user.status not in ('active', 'paused') then
    return jsonb_build_object('verdict', 'already');
  end if;
  return set_subscriber_status_v1(v_user.id, 'unsubscribed', 'by the link in a mail', 'subscriber', '', null, null);
end
$$;

call close_to_clients_v1(array['provider_events'], array[
  'event_state_v1', 'outcome_weight_v1', 'record_event_v1', 'fold_event_v1', 'suppress_address_v1',
  'unsubscribe_status_v1', 'unsubscribe_v1']);
