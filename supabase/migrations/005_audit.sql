-- What people and the reconciler changed, and the switches that hold things back.

create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  actor text not null,               -- a person, or 'reconciler'
  host text not null default '',
  action text not null,
  target text not null default '',
  reason text not null default '',
  result jsonb not null default '{}'
);
create index audit_log_target on audit_log (target, id);

create table switches (
  name text primary key check (name in ('scheduler_paused', 'mail_held')),
  is_on boolean not null,
  set_by text not null,
  reason text not null,
  set_at timestamptz not null
);

create function switch_is_on_v1(p_name text)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
begin
  return exists (select from switches where name = p_name and is_on);
end
$$;

create function set_switch_v1(p_name text, p_on boolean, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into switches (name, is_on, set_by, reason, set_at) values (p_name, p_on, p_by, p_reason, clock_timestamp())
  on conflict (name) do update
    set is_on = excluded.is_on, set_by = excluded.set_by, reason = excluded.reason, set_at = excluded.set_at
    where switches.is_on is distinct from excluded.is_on;
  if not found then
    return jsonb_build_object('verdict', 'already');
  end if;
  insert into audit_log (actor, host, action, target, reason)
  values (p_by, p_host, case when p_on then 'switch on' else 'switch off' end, p_name, p_reason);
  return jsonb_build_object('verdict', 'ok');
end
$$;

create function record_audit_v1(
  p_actor text, p_host text, p_action text, p_target text, p_reason text, p_result jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_actor, p_host, p_action, p_target, p_reason, p_result);
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(
  array['audit_log', 'switches'],
  array['switch_is_on_v1', 'set_switch_v1', 'record_audit_v1']);
