-- Who leads each loop, and which processes are alive. The database clock is the only clock.

create table leases (
  name text primary key,
  holder text,
  fence bigint not null default 0,   -- grows whenever the holder changes
  expires_at timestamptz not null,
  acquired_at timestamptz not null,
  info jsonb not null default '{}'   -- the leader's last report, for people
) with (fillfactor = 50);

create table heartbeats (
  process text primary key,
  kind text not null check (kind in ('worker', 'scheduler', 'delivery', 'web')),
  host text not null,
  pid integer not null,
  version text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  info jsonb not null default '{}'
) with (fillfactor = 50);

-- Take, renew or learn of the lease. The same holder renews; anybody takes what has expired.
-- A holder whose lease lapsed and comes back gets a new fence: what it held before is stale.
create function acquire_lease_v1(p_name text, p_holder text, p_ttl_s double precision, p_info jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_lease leases;
  v_now timestamptz;
begin
  insert into leases (name, expires_at, acquired_at) values (p_name, '-infinity', clock_timestamp())
    on conflict do nothing;
  select * into v_lease from leases where name = p_name for no key update;
  v_now := clock_timestamp();
  if v_lease.expires_at > v_now and v_lease.holder is distinct from p_holder then
    return jsonb_build_object('held', false, 'holder', v_lease.holder, 'fence', v_lease.fence, 'now', v_now);
  end if;
  if v_lease.expires_at <= v_now then
    v_lease.fence := v_lease.fence + 1;
    v_lease.acquired_at := v_now;
  end if;
  update leases
     set holder = p_holder, fence = v_lease.fence, acquired_at = v_lease.acquired_at,
         expires_at = v_now + make_interval(secs => p_ttl_s), info = p_info
   where name = p_name;
  return jsonb_build_object('held', true, 'holder', p_holder, 'fence', v_lease.fence, 'now', v_now);
end
$$;

-- Give the lease up at once, so that a standby can take over without waiting for it to expire.
create function release_lease_v1(p_name text, p_holder text, p_fence bigint)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  update leases set expires_at = '-infinity', holder = null
   where name = p_name and holder = p_holder and fence = p_fence;
  return jsonb_build_object('verdict', case when found then 'ok' else 'stale' end);
end
$$;

-- True while this fence leads. The row stays share-locked, so nobody takes over before this commits.
create function fence_holds_v1(p_name text, p_fence bigint)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
begin
  perform from leases
    where name = p_name and fence = p_fence and expires_at > clock_timestamp() for share;
  return found;
end
$$;

create function heartbeat_v1(
  p_process text, p_kind text, p_host text, p_pid integer, p_version text, p_started_at timestamptz, p_info jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into heartbeats (process, kind, host, pid, version, started_at, seen_at, info)
  values (p_process, p_kind, p_host, p_pid, p_version, p_started_at, clock_timestamp(), p_info)
  on conflict (process) do update set seen_at = excluded.seen_at, info = excluded.info;
  return jsonb_build_object('now', clock_timestamp());
end
$$;

create function forget_process_v1(p_process text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  delete from heartbeats where process = p_process;
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(
  array['leases', 'heartbeats'],
  array['acquire_lease_v1', 'release_lease_v1', 'fence_holds_v1', 'heartbeat_v1', 'forget_process_v1']);
