-- Story jobs and the stories they end in.

create table story_jobs (
  id uuid primary key,
  user_id uuid not null references users,
  kind text not null default 'daily' check (kind in ('daily', 'extra')),
  local_date date not null,
  due_at timestamptz not null,
  send_until timestamptz not null,
  state text not null check (state in ('pending', 'running', 'completed', 'failed', 'cancelled')),
  attempt smallint not null default 0,
  max_attempts smallint not null default 8,
  run_after timestamptz not null,   -- may be claimed from here on
  ring_at timestamptz not null,     -- the doorbell is rung (again) when this passes and it is still pending
  holder text,
  token bigint not null default 0,  -- grows with every claim: the fencing token
  lease_expires_at timestamptz,
  step text,
  percent smallint not null default 0,
  error text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
) with (fillfactor = 70);
create unique index one_daily_job on story_jobs (user_id, local_date) where kind = 'daily';
create index story_jobs_ring on story_jobs (ring_at) where state = 'pending';
create index story_jobs_running on story_jobs (id) where state = 'running';
create index story_jobs_waiting_until on story_jobs (send_until) where state = 'pending';

create table stories (
  id uuid primary key,
  job_id uuid not null unique references story_jobs,
  user_id uuid not null references users,
  local_date date not null,
  title text not null check (title <> ''),
  body text not null check (body <> ''),
  writer text not null,
  created_at timestamptz not null default now()
);
-- Ids grow with time (UUIDv7), so this is a subscriber's history, newest first.
create index stories_history on stories (user_id, id desc);

call close_to_clients_v1(array['story_jobs', 'stories'], array[]::text[]);
