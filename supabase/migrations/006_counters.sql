-- How many jobs and deliveries are in which state, by local date, without counting them.
-- Triggers append what changed; folding adds it up. A reader sums base and what is not yet folded.

create table counter_base (
  day date not null,
  what text not null check (what in ('job', 'delivery')),
  state text not null,
  n bigint not null,
  primary key (day, what, state)
) with (fillfactor = 50);

create table counter_delta (
  day date not null,
  what text not null,
  state text not null,
  n bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create function count_inserts_v1() returns trigger
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into counter_delta (day, what, state, n)
  select r.local_date, tg_argv[0], r.state, count(*) from new_rows r group by 1, 3;
  return null;
end
$$;

create function count_updates_v1() returns trigger
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into counter_delta (day, what, state, n)
  select c.local_date, tg_argv[0], c.state, sum(c.n)
    from (select local_date, state, 1 as n from new_rows
          union all
          select local_date, state, -1 from old_rows) c
   group by 1, 3
  having sum(c.n) <> 0;
  return null;
end
$$;

create function count_deletes_v1() returns trigger
language plpgsql security definer
set search_path = public, pg_temp
as $$
begin
  insert into counter_delta (day, what, state, n)
  select r.local_date, tg_argv[0], r.state, -count(*) from old_rows r group by 1, 3;
  return null;
end
$$;

create trigger count_inserts after insert on story_jobs
  referencing new table as new_rows for each statement execute function count_inserts_v1('job');
create trigger count_updates after update on story_jobs
  referencing old table as old_rows new table as new_rows for each statement execute function count_updates_v1('job');
create trigger count_deletes after delete on story_jobs
  referencing old table as old_rows for each statement execute function count_deletes_v1('job');
create trigger count_inserts after insert on scheduled_deliveries
  referencing new table as new_rows for each statement execute function count_inserts_v1('delivery');
create trigger count_updates after update on scheduled_deliveries
  referencing old table as old_rows new table as new_rows
  for each statement execute function count_updates_v1('delivery');
create trigger count_deletes after delete on scheduled_deliveries
  referencing old table as old_rows for each statement execute function count_deletes_v1('delivery');

-- Add up what has gathered. Safe from several callers at once: each delta is deleted by one of them.
create function fold_counters_v1()
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_folded bigint;
begin
  if not exists (select from counter_delta) then
    return jsonb_build_object('folded', 0);
  end if;
  with gone as (delete from counter_delta returning day, what, state, n),
  sums as (select day, what, state, sum(n) as n, count(*) as rows from gone group by day, what, state),
  added as (
    insert into counter_base as b (day, what, state, n)
    select day, what, state, n from sums order by day, what, state
    on conflict (day, what, state) do update set n = b.n + excluded.n)
  select coalesce(sum(rows), 0) into v_folded from sums;
  return jsonb_build_object('folded', v_folded);
end
$$;

call close_to_clients_v1(
  array['counter_base', 'counter_delta'],
  array['count_inserts_v1', 'count_updates_v1', 'count_deletes_v1', 'fold_counters_v1']);
