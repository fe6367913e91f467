-- A database as the earlier FixionMail left it on Supabase: its ten migrations applied, row level security with
-- policies, users tied to auth.users by a trigger.

do $$
declare
  v_role text;
begin
  foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = v_role) then
      execute format('create role %I nologin', v_role);
    end if;
  end loop;
exception when duplicate_object or unique_violation then
  null; -- another test was faster
end
$$;

create schema auth;
create table auth.users (id uuid primary key, email text not null);
create function auth.uid() returns uuid language sql stable as $$ select null::uuid $$;

create table users (
  id uuid primary key references auth.users (id) on delete cascade,
  email text unique not null,
  credits integer not null default 10,
  credits_used_total integer not null default 0,
  subscription_status text not null default 'trial'
    check (subscription_status in ('trial', 'active', 'cancelled', 'expired', 'past_due')),
  trial_credits_remaining integer not null default 10,
  story_bible jsonb not null default '{}',
  preferences jsonb not null default
    '{"story_length": "medium", "delivery_time": "08:00", "timezone": "America/New_York"}',
  current_genre text,
  current_protagonist jsonb,
  onboarding_completed boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_story_at timestamptz
);
create index idx_users_email on users (email);

create table stories (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  title text not null,
  narrative text not null,
  word_count integer not null,
  genre text not null,
  story_bible jsonb not null,
  model_used text not null,
  status text not null default 'completed',
  delivered_at timestamptz,
  email_sent boolean not null default false,
  rating integer,
  created_at timestamptz not null default now()
);
create index idx_stories_user on stories (user_id);

create table conversations (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  story_context_id uuid references stories (id) on delete set null,
  messages jsonb not null default '[]'
);

create table credit_transactions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  amount integer not null
);

create table story_jobs (
  id uuid primary key default gen_random_uuid(),
  job_id text unique not null,
  status text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed')),
  story_bible jsonb not null,
  user_email text not null,
  user_id uuid references users (id) on delete set null,
  settings jsonb,
  current_step text,
  result jsonb,
  story_id uuid references stories (id) on delete set null,
  error_message text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz,
  retry_count integer not null default 0,
  claimed_by text,
  claimed_at timestamptz
);
create index idx_story_jobs_status on story_jobs (status);

create table scheduled_deliveries (
  id uuid primary key default gen_random_uuid(),
  story_id uuid not null references stories (id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  user_email text not null,
  deliver_at timestamptz not null,
  timezone text not null default 'UTC',
  status text not null default 'pending' check (status in ('pending', 'sending', 'sent', 'failed')),
  sent_at timestamptz,
  resend_email_id text,
  error_message text,
  retry_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index idx_scheduled_deliveries_story on scheduled_deliveries (story_id);

alter table users enable row level security;
alter table stories enable row level security;
alter table story_jobs enable row level security;
alter table scheduled_deliveries enable row level security;
create policy "own data" on users for select using (auth.uid() = id);
create policy "own stories" on stories for select using (auth.uid() = user_id);
create policy "own jobs" on story_jobs for select using (
  auth.uid() = user_id or user_email = (select email from users where id = auth.uid()));
create policy "insert jobs" on story_jobs for insert with check (true);
create policy "any update" on scheduled_deliveries for update using (true) with check (true);
grant all on all tables in schema public to anon, authenticated, service_role;

create function touch_updated_at() returns trigger language plpgsql as $$
begin new.updated_at = now(); return new; end $$;
create trigger touch_users before update on users for each row execute function touch_updated_at();
create trigger touch_deliveries before update on scheduled_deliveries
  for each row execute function touch_updated_at();

create function handle_new_user() returns trigger language plpgsql security definer as $$
begin
  insert into public.users (id, email, credits, trial_credits_remaining) values (new.id, new.email, 10, 10);
  return new;
end $$;
create trigger on_auth_user_created after insert on auth.users for each row execute function handle_new_user();

create function add_credits(p_user_id uuid, p_amount integer) returns integer language sql security definer as $$
  update public.users set credits = credits + p_amount where id = p_user_id returning credits $$;
grant execute on function add_credits to anon, authenticated;

create function claim_pending_job(worker_id text) returns setof story_jobs language sql as $$
  update public.story_jobs set status = 'running', claimed_by = worker_id where false returning * $$;
