-- Deliveries: one story to one subscriber for one local date.

create table scheduled_deliveries (
  id uuid primary key,
  job_id uuid not null references story_jobs,
  story_id uuid references stories,  -- null only for a delivery that was missed before it was written
  user_id uuid not null references users,
  kind text not null default 'daily' check (kind in ('daily', 'extra')),
  local_date date not null,
  due_at timestamptz not null,
  send_until timestamptz not null,
  state text not null check (state in (
    'pending', 'sending',
    'sent', 'rejected', 'uncertain', 'missed', 'cancelled', 'suppressed',
    'delivered', 'bounced', 'complained', 'failed')),
  reason text,
  address text,                      -- where it was sent; set when it enters a batch
  generation integer not null default 1, -- grows only after a definite refusal: a new idempotency key
  provider_id text,
  created_at timestamptz not null default now(),
  sent_at timestamptz,
  updated_at timestamptz not null default now(),
  constraint unique_story_delivery unique (story_id),
  constraint story_unless_missed check (story_id is not null or state in ('missed', 'cancelled'))
) with (fillfactor = 80);
create unique index one_daily_delivery on scheduled_deliveries (user_id, local_date) where kind = 'daily';
create index deliveries_due on scheduled_deliveries (due_at, id) where state = 'pending';
create index deliveries_open on scheduled_deliveries (state, due_at)
  where state in ('pending', 'sending', 'uncertain', 'rejected', 'missed', 'failed');
create index deliveries_by_provider_id on scheduled_deliveries (provider_id) where provider_id is not null;
create index deliveries_by_job on scheduled_deliveries (job_id);
-- Always empty while all is well, so the check that asks costs nothing.
create index deliveries_sent_without_id on scheduled_deliveries (id)
  where state in ('sent', 'delivered') and provider_id is null;

call close_to_clients_v1(array['scheduled_deliveries'], array[]::text[]);
