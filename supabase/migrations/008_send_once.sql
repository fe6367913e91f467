-- How an e-mail goes out once: open, seal and begin; settle is in 029. A batch is one mail request and its members; its
-- exact bytes are stored before the first byte leaves, and the same key and bytes are used until the answer is definite.
-- Locks are taken in the order batch, delivery, user, send line.

create table mail_batches (
  id uuid primary key,
  state text not null check (state in
    ('draft', 'sealed', 'sending', 'ambiguous', 'accepted', 'rejected', 'uncertain', 'dissolved')),
  key text,                          -- the idempotency key, set when sealed
  n integer not null,
  sha256 text,
  body_len integer,
  opened_as uuid,                    -- the id under which a half was asked for: who asks again gets it again
  due_at timestamptz not null,       -- the earliest of its members
  send_until timestamptz not null,   -- likewise
  first_used_at timestamptz,         -- when the key was first used; it is forgotten 24 h later
  maybe_sent boolean not null default false, -- an attempt ended without a definite answer
  holder text,
  token bigint not null default 1,
  lease_expires_at timestamptz,
  next_attempt_at timestamptz not null,
  attempts integer not null default 0,
  last_status integer,
  last_error text,
  created_at timestamptz not null default now(),
  settled_at timestamptz
) with (fillfactor = 70);
create unique index mail_batches_key on mail_batches (key) where state <> 'dissolved';
create index mail_batches_open on mail_batches (next_attempt_at) where settled_at is null;

create table mail_bodies (
  batch_id uuid primary key references mail_batches on delete cascade,
  codec text not null check (codec in ('zlib')),
  body bytea not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
alter table mail_bodies alter column body set storage external;

create table mail_batch_items (
  batch_id uuid not null references mail_batches,
  pos integer not null,
  delivery_id uuid not null references scheduled_deliveries,
  live boolean not null default true, -- in at most one live batch: see the index
  outcome text check (outcome in ('accepted', 'refused', 'rejected', 'withdrawn', 'uncertain')),
  provider_id text,
  primary key (batch_id, pos)
);
create unique index one_live_batch on mail_batch_items (delivery_id) where live;
-- Not unique on purpose: a second acceptance must be recorded, not refused; settle makes it an incident.
create index items_accepted on mail_batch_items (delivery_id) where outcome = 'accepted';

-- The line to one mail provider: one request rate for the whole deployment, and why it stands still.
create table send_lines (
  name text primary key,
  rate double precision not null check (rate > 0),  -- requests a second that we allow ourselves now
  full_rate double precision,        -- what we allow ourselves when all is well; null until the provider named its limit
  slowed_at timestamptz not null default '-infinity',
  next_slot_at timestamptz not null default '-infinity',
  paused_until timestamptz not null default '-infinity',
  paused_reason text
) with (fillfactor = 50);

-- How many mails go into one request: one by one while that drains the backlog within ten seconds of the time at which
-- the first was due, else as many as it takes, up to the provider's hundred. One by one, a request has a key that
-- outlives our database. Past the ten seconds everybody waits already, so as few requests as possible take the rest.
create function batch_size_v1(p_line text, p_max_size integer)
returns integer
language plpgsql stable
set search_path = public, pg_temp
as $$
declare
  c_counted constant integer := 10000; -- so many waiting fill every request
  v_seconds double precision;
  v_backlog integer;
  v_rate double precision;
begin
  select least(rate, 50) into v_rate from send_lines where name = p_line;
  select greatest(1, 10 - extract(epoch from clock_timestamp() - min(due_at))) into v_seconds
    from scheduled_deliveries where state = 'pending';
  select count(*) into v_backlog from (
    select from scheduled_deliveries where state = 'pending' and due_at <= clock_timestamp() limit c_counted) d;
  if v_backlog = c_counted then
    return p_max_size;
  end if;
  return greatest(1, least(p_max_size, ceil(v_backlog / (v_rate * v_seconds))::integer));
end
$$;

-- The members of a draft with all that their mails are made of.
create function batch_members_v1(p_batch uuid)
returns jsonb
language sql stable
set search_path = public, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'delivery_id', d.id, 'user_id', d.user_id, 'address', d.address, 'local_date', d.local_date,
      'title', s.title, 'body', s.body, 'unsubscribe_token', u.unsubscribe_token) order by i.pos), '[]')
    from mail_batch_items i
    join scheduled_deliveries d on d.id = i.delivery_id
    join stories s on s.id = d.story_id
    join users u on u.id = d.user_id
   where i.batch_id = p_batch and i.live
$$;

-- What a delivery becomes when its subscriber may no longer be written to.
create function withdrawn_state_v1(p_status text)
returns text
language sql immutable
as $$
  select case p_status when 'suppressed' then 'suppressed' else 'cancelled' end
$$;

-- Take the next piece of mail work for p_lease_s seconds: a batch that is ready to go (again), else a half of
-- one that was refused, else a new draft of what is due. p_batch is the id a new draft gets.
-- draft{batch,token,members} | ready{batch} | empty | paused{reason}
create function open_batch_v1(
  p_line text, p_start_rate double precision, p_batch uuid, p_holder text, p_lease_s double precision,
  p_max_size integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_line send_lines;
  v_batch mail_batches;
  v_now timestamptz;
begin
  if switch_is_on_v1('mail_held') then
    return jsonb_build_object('verdict', 'paused', 'reason', 'mail is held');
  end if;
  select * into v_line from send_lines where name = p_line;
  if not found then
    insert into send_lines (name, rate) values (p_line, p_start_rate) on conflict do nothing;
  elsif v_line.paused_until > clock_timestamp() then
    return jsonb_build_object('verdict', 'paused', 'reason', v_line.paused_reason);
  end if;

  -- This very call was made before and its reply was lost?
  select * into v_batch from mail_batches where id = p_batch;
  if not found then
    select * into v_batch from mail_batches where settled_at is null and state = 'draft' and opened_as = p_batch;
  end if;
  if found then
    return jsonb_build_object('verdict', 'draft', 'batch', v_batch.id, 'token', v_batch.token,
                              'members', batch_members_v1(v_batch.id));
  end if;

  select * into v_batch from mail_batches
   where settled_at is null and next_attempt_at <= clock_timestamp()
     and (state in ('sealed', 'ambiguous') or (state = 'draft' and holder is null))
   order by next_attempt_at limit 1 for no key update skip locked;
  if found then
    v_now := clock_timestamp();
    if v_batch.state = 'draft' then
      update mail_batches
         set holder = p_holder, token = token + 1, opened_as = p_batch,
             lease_expires_at = v_now + make_interval(secs => p_lease_s)
       where id = v_batch.id returning * into v_batch;
      return jsonb_build_object('verdict', 'draft', 'batch', v_batch.id, 'token', v_batch.token,
                                'members', batch_members_v1(v_batch.id));
    end if;
    -- Others who look in the meantime shall find other work; begin decides who really has it.
    update mail_batches set next_attempt_at = v_now + interval '5 seconds' where id = v_batch.id;
    return jsonb_build_object('verdict', 'ready', 'batch', v_batch.id);
  end if;

  return new_draft_v1(p_line, p_batch, p_holder, p_lease_s, p_max_size);
end
$$;

-- Reserve what is due in a new draft; subscribers who may not be written to are sorted out on the way.
create function new_draft_v1(
  p_line text, p_batch uuid, p_holder text, p_lease_s double precision, p_max_size integer)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_taken uuid[];
  v_withdrawn integer;
  v_first timestamptz;
  v_until timestamptz;
begin
  select array_agg(id), min(due_at), min(send_until) into v_taken, v_first, v_until
    from (select id, due_at, send_until from scheduled_deliveries
           where state = 'pending' and due_at <= v_now and send_until > v_now
           order by due_at, id limit batch_size_v1(p_line, p_max_size)
             for no key update skip locked) d;
  if v_taken is null then
    return jsonb_build_object('verdict', 'empty');
  end if;

  update scheduled_deliveries d
     set state = withdrawn_state_v1(u.status), reason = 'the subscriber is ' || u.status, updated_at = v_now
    from users u
   where d.id = any(v_taken) and u.id = d.user_id and u.status <> 'active';
  get diagnostics v_withdrawn = row_count;
  update scheduled_deliveries d
     set state = 'sending', address = u.email, updated_at = v_now
    from users u
   where d.id = any(v_taken) and u.id = d.user_id and d.state = 'pending';

  insert into mail_batches
    (id, state, n, due_at, send_until, holder, lease_expires_at, next_attempt_at)
  values (p_batch, 'draft', cardinality(v_taken) - v_withdrawn, v_first, v_until, p_holder,
          v_now + make_interval(secs => p_lease_s), v_now);
  insert into mail_batch_items (batch_id, pos, delivery_id)
  select p_batch, row_number() over (order by d.due_at, d.id) - 1, d.id
    from scheduled_deliveries d where d.id = any(v_taken) and d.state = 'sending';
  if cardinality(v_taken) = v_withdrawn then
    update mail_batches set state = 'dissolved', settled_at = v_now where id = p_batch;
  end if;
  return jsonb_build_object('verdict', 'draft', 'batch', p_batch, 'token', 1, 'members', batch_members_v1(p_batch));
end
$$;

-- True while p_token holds the draft.
create function draft_stands_v1(p_batch mail_batches, p_token bigint)
returns boolean
language sql
as $$
  select p_batch.state = 'draft' and p_batch.token = p_token and p_batch.lease_expires_at > clock_timestamp()
$$;

-- Store the exact bytes and the key. p_unfit names members of which no mail could be made, with the reason: they
-- are rejected and are not in the bytes. ok | already | stale | dissolved
create function seal_batch_v1(
  p_batch uuid, p_token bigint, p_codec text, p_body text, p_sha256 text, p_len integer, p_unfit jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_batch mail_batches;
  v_now timestamptz;
  v_left integer;
  v_key text;
begin
  select * into v_batch from mail_batches where id = p_batch for no key update;
  if found and v_batch.token = p_token and v_batch.sha256 = p_sha256 then
    return jsonb_build_object('verdict', 'already');
  elsif not found or not draft_stands_v1(v_batch, p_token) then
    return jsonb_build_object('verdict', 'stale');
  end if;
  v_now := clock_timestamp();
  perform end_items_v1(p_batch, 'rejected', 'rejected', r.value, array[(r.key)::uuid])
    from jsonb_each_text(p_unfit) r order by r.key;
  select count(*), min(case d.kind when 'daily' then d.user_id || '/' || d.local_date else d.id::text end)
    into v_left, v_key
    from mail_batch_items i join scheduled_deliveries d on d.id = i.delivery_id
   where i.batch_id = p_batch and i.live;
  if v_left = 0 then
    update mail_batches set state = 'dissolved', n = 0, settled_at = v_now where id = p_batch;
    return jsonb_build_object('verdict', 'dissolved');
  end if;
  -- A single mail's key follows from what it is, and holds even when a restore lost our last commits.
  v_key := 'fm/' || case when v_left = 1 then v_key else p_batch::text end || '/' || (
    select max(d.generation) from mail_batch_items i join scheduled_deliveries d on d.id = i.delivery_id
     where i.batch_id = p_batch and i.live);
  insert into mail_bodies (batch_id, codec, body) values (p_batch, p_codec, decode(p_body, 'base64'));
  update mail_batches
     set state = 'sealed', key = v_key, n = v_left, sha256 = p_sha256, body_len = p_len,
         next_attempt_at = v_now + interval '5 seconds'
   where id = p_batch;
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- End the live membership of some or all (null) of a batch's items, and give their deliveries a state.
create function end_items_v1(p_batch uuid, p_outcome text, p_state text, p_reason text, p_only uuid[])
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  with ended as (
    update mail_batch_items set live = false, outcome = p_outcome
     where batch_id = p_batch and live and (p_only is null or delivery_id = any(p_only))
    returning delivery_id)
  update scheduled_deliveries d
     set state = p_state, reason = p_reason, updated_at = clock_timestamp(),
         generation = d.generation + case p_outcome when 'refused' then 1 else 0 end
    from ended where d.id = ended.delivery_id and d.state = 'sending';
end
$$;

-- Before a batch has ever been sent: take out who has unsubscribed, was suppressed or changed address since it was
-- sealed, and make it a draft of the rest again. no | reseal | dissolved, when nobody is left
create function reopen_if_outdated_v1(p_batch mail_batches, p_holder text, p_lease_s double precision)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_outdated boolean;
begin
  select bool_or(u.status <> 'active' or u.email <> d.address) into v_outdated
    from mail_batch_items i
    join scheduled_deliveries d on d.id = i.delivery_id
    join users u on u.id = d.user_id
   where i.batch_id = p_batch.id and i.live;
  if not v_outdated then
    return 'no';
  end if;
  perform end_items_v1(p_batch.id, 'withdrawn', withdrawn_state_v1(u.status), 'the subscriber is ' || u.status, array[d.id])
    from mail_batch_items i
    join scheduled_deliveries d on d.id = i.delivery_id
    join users u on u.id = d.user_id
   where i.batch_id = p_batch.id and i.live and u.status <> 'active';
  update scheduled_deliveries d set address = u.email, updated_at = clock_timestamp()
    from mail_batch_items i, users u
   where i.batch_id = p_batch.id and i.live and d.id = i.delivery_id and u.id = d.user_id and d.address <> u.email;
  delete from mail_bodies where batch_id = p_batch.id;
  if not exists (select from mail_batch_items where batch_id = p_batch.id and live) then
    update mail_batches set state = 'dissolved', n = 0, settled_at = clock_timestamp() where id = p_batch.id;
    return 'dissolved';
  end if;
  update mail_batches
     set state = 'draft', key = null, sha256 = null, body_len = null, holder = p_holder, token = token + 1,
         lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s)
   where id = p_batch.id;
  return 'reseal';
end
$$;

-- Beyond the window in which the key protects us: what was surely not sent is missed, the rest is uncertain.
create function close_window_v1(p_batch mail_batches)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
  if not (p_batch.maybe_sent or p_batch.state = 'sending') then
    perform end_items_v1(p_batch.id, 'withdrawn', 'missed',
      'it could not be sent in time' || coalesce(': ' || p_batch.last_error, ''), null);
    update mail_batches set state = 'dissolved', settled_at = clock_timestamp() where id = p_batch.id;
  else
    perform end_items_v1(p_batch.id, 'uncertain', 'uncertain',
      'no definite answer from the provider within its 24 hours: ' || coalesce(p_batch.last_error, 'none at all'), null);
    update mail_batches set state = 'uncertain', settled_at = clock_timestamp() where id = p_batch.id;
  end if;
  delete from mail_bodies where batch_id = p_batch.id;
end
$$;

-- True when a batch may not be sent any more: 23 h after its key was first used, or never begun and too late.
create function window_is_over_v1(p_batch mail_batches)
returns boolean
language sql
as $$
  select clock_timestamp() > p_batch.first_used_at + interval '23 hours'
      or clock_timestamp() > p_batch.due_at + interval '23 hours'
      or (p_batch.first_used_at is null and clock_timestamp() > p_batch.send_until)
$$;

-- A batch that gets no slot now. Whoever held it and asks again has sent nothing, and gives it back.
create function put_off_v1(p_batch mail_batches, p_until timestamptz, p_again boolean)
returns void
language sql
set search_path = public, pg_temp
as $$
  update mail_batches
     set next_attempt_at = p_until,
         state = case when p_again then 'sealed' else state end,
         holder = case when p_again then null else holder end,
         lease_expires_at = case when p_again then null else lease_expires_at end
   where id = p_batch.id
$$;

-- The last word before the socket opens: reserves the next slot under the provider's rate and starts a lease of
-- p_lease_s seconds from that slot.
-- go{token,key,now,slot,sha256,codec,body} | busy | done | draft | later{wait_ms} | paused{reason} | window | gone
-- | reseal{token,members}
-- A holder who missed its slot asks again and gets another one. now and slot are Unix seconds by this clock.
create function begin_batch_v1(
  p_line text, p_batch uuid, p_holder text, p_lease_s double precision, p_max_wait_ms double precision)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_batch mail_batches;
  v_line send_lines;
  v_now timestamptz;
  v_slot timestamptz;
  v_again boolean;
  v_reopened text := 'no';
begin
  select * into v_batch from mail_batches where id = p_batch for no key update;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  end if;
  v_now := clock_timestamp();
  v_again := v_batch.state = 'sending' and v_batch.holder = p_holder and v_batch.lease_expires_at > v_now;
  if v_batch.settled_at is not null then
    return jsonb_build_object('verdict', 'done');
  elsif v_batch.state = 'draft' then
    return jsonb_build_object('verdict', 'draft');
  elsif v_batch.state = 'sending' and v_batch.lease_expires_at > v_now and not v_again then
    return jsonb_build_object('verdict', 'busy');
  elsif switch_is_on_v1('mail_held') then
    perform put_off_v1(v_batch, v_batch.next_attempt_at, v_again);
    return jsonb_build_object('verdict', 'paused', 'reason', 'mail is held');
  elsif window_is_over_v1(v_batch) then
    perform close_window_v1(v_batch);
    return jsonb_build_object('verdict', 'window');
  elsif v_batch.first_used_at is null then
    v_reopened := reopen_if_outdated_v1(v_batch, p_holder, p_lease_s);
  end if;
  if v_reopened = 'dissolved' then
    return jsonb_build_object('verdict', 'done');
  elsif v_reopened = 'reseal' then
    return jsonb_build_object('verdict', 'reseal', 'token', v_batch.token + 1, 'members', batch_members_v1(p_batch));
  end if;

  select * into v_line from send_lines where name = p_line for no key update;
  v_now := clock_timestamp();
  v_slot := greatest(v_now, v_line.next_slot_at);
  if v_line.paused_until > v_now then
    perform put_off_v1(v_batch, v_line.paused_until, v_again);
    return jsonb_build_object('verdict', 'paused', 'reason', v_line.paused_reason);
  elsif extract(epoch from v_slot - v_now) * 1000 > p_max_wait_ms then
    perform put_off_v1(v_batch, v_slot, v_again);
    return jsonb_build_object('verdict', 'later', 'wait_ms', extract(epoch from v_slot - v_now) * 1000);
  end if;
  update send_lines set next_slot_at = v_slot + make_interval(secs => 1 / rate) where name = p_line;
  update mail_batches
     set state = 'sending', first_used_at = coalesce(first_used_at, v_slot), holder = p_holder,
         maybe_sent = maybe_sent or (state = 'sending' and not v_again),
         token = token + case when v_again then 0 else 1 end,
         attempts = attempts + case when v_again then 0 else 1 end,
         lease_expires_at = v_slot + make_interval(secs => p_lease_s)
   where id = p_batch returning * into v_batch;
  return (select jsonb_build_object(
      'verdict', 'go', 'token', v_batch.token, 'key', v_batch.key, 'n', v_batch.n,
      'now', extract(epoch from v_now), 'slot', extract(epoch from v_slot),
      'sha256', v_batch.sha256, 'codec', b.codec, 'body', translate(encode(b.body, 'base64'), E'\n', ''))
    from mail_bodies b where b.batch_id = p_batch);
end
$$;

call close_to_clients_v1(
  array['mail_batches', 'mail_bodies', 'mail_batch_items', 'send_lines'],
  array['batch_size_v1', 'batch_members_v1', 'withdrawn_state_v1', 'open_batch_v1', 'new_draft_v1', 'draft_stands_v1',
        'seal_batch_v1', 'end_items_v1', 'reopen_if_outdated_v1', 'close_window_v1', 'window_is_over_v1',
        'put_off_v1', 'begin_batch_v1']);
