-- Tables and functions of the earlier FixionMail make room: they move to a schema that no API serves, with all their
-- rows, keys and policies, and stay there. 018_take_over.sql copies from them.
do $$
declare
  v_name text;
begin
  if to_regclass('public.scheduled_deliveries') is null or not exists (
    select from pg_attribute
     where attrelid = to_regclass('public.users') and attname = 'preferences' and not attisdropped) then
    return;
  end if;
  set local lock_timeout = '15s'; -- the earlier product must have been stopped
  create schema earlier;
  foreach v_name in array array['users', 'stories', 'story_jobs', 'scheduled_deliveries'] loop
    execute format('alter table public.%I set schema earlier', v_name);
  end loop;
  for v_name in
    select oid::regprocedure::text from pg_proc
     where pronamespace = 'public'::regnamespace
       and proname in ('claim_pending_job', 'deduct_credits', 'add_credits', 'handle_new_user')
  loop
    execute format('alter routine %s set schema earlier', v_name);
  end loop;
  -- Whoever signs up with Supabase was made a subscriber by a trigger; it must not fail now, or nobody can sign up.
  if to_regproc('earlier.handle_new_user') is not null then
    create or replace function earlier.handle_new_user() returns trigger
    language plpgsql as 'begin return new; end';
  end if;
end
$$;

-- Subscribers, and the roles that Supabase has and plain Postgres lacks.

do $$
declare
  v_role text;
begin
  foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = v_role) then
      begin
        execute format('create role %I nologin noinherit', v_role);
      exception when duplicate_object or unique_violation then
        null; -- another database of this server was migrated at the same moment
      end;
    end if;
  end loop;
end
$$;

-- Close tables and functions to everybody but their owner; functions alone are opened to service_role.
-- Supabase grants both to anon and authenticated by default, so every migration ends with this call.
create procedure close_to_clients_v1(p_tables text[], p_functions text[])
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_name text;
begin
  foreach v_name in array p_tables loop
    execute format('alter table %I enable row level security', v_name);
    execute format('revoke all on table %I from public, anon, authenticated', v_name);
  end loop;
  foreach v_name in array p_functions loop
    execute format('revoke all on routine %I from public, anon, authenticated', v_name);
    execute format('grant execute on routine %I to service_role', v_name);
  end loop;
end
$$;
revoke all on procedure close_to_clients_v1 from public, anon, authenticated;

-- Which migrations this database has, with the checksum of each file's text.
create table fixionmail_migrations (
  version integer primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default clock_timestamp()
);

create function record_migration_v1(p_version integer, p_name text, p_checksum text)
returns void
language sql
set search_path = public, pg_temp
as $$
  insert into fixionmail_migrations (version, name, checksum) values (p_version, p_name, p_checksum)
$$;
revoke all on function record_migration_v1 from public, anon, authenticated;

create function migrations_v1()
returns jsonb
language sql stable security definer
set search_path = public, pg_temp
as $$
  select coalesce(jsonb_agg(to_jsonb(m) order by version), '[]') from fixionmail_migrations m
$$;

create table users (
  id uuid primary key,
  email text not null,
  status text not null default 'active'
    check (status in ('active', 'paused', 'unsubscribed', 'suppressed', 'removed')),
  status_reason text,
  timezone text not null,           -- as the subscriber gave it; an unknown one falls back to UTC, see doctor
  delivery_time text not null,      -- likewise, HH:MM
  story_bible jsonb not null default '{}',
  credits integer not null default 0,
  unsubscribe_token text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 85);
create unique index users_email_key on users (lower(email));
create unique index users_unsubscribe_token_key on users (unsubscribe_token);

-- When each subscriber is due next. Apart from users, so that planning never rewrites the wide row, and a
-- tick reads only the few index entries that are due.
create table subscriber_schedule (
  user_id uuid primary key references users on delete cascade,
  active boolean not null default true,
  next_local_date date not null,
  next_due_at timestamptz not null,
  last_local_date date,
  last_due_at timestamptz
) with (fillfactor = 85);
create index subscriber_schedule_due on subscriber_schedule (next_due_at, user_id) where active;

call close_to_clients_v1(array['fixionmail_migrations', 'users', 'subscriber_schedule'], array['migrations_v1']);
