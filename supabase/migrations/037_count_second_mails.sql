-- Second mails are counted in indexes alone and in one query, whoever asks, so that the server may give each index a
-- process of its own.

-- Ids that stand more than once in an index. p_kinds: what to count; p_since and day: of same_date, the local date.
create function counted_twice_v1(p_kinds text[], p_since date)
returns table (kind text, id uuid, day date)
language plpgsql stable rows 100
set search_path = public, pg_temp
set enable_hashagg = off -- an index has them in order
set jit = off -- compiling takes as long as counting a million
as $$
begin
  -- Written so that the planner expects few: of "count(*) > 1" it expects a third of all, and would not share the work.
  return query
  select 'accepted_twice', i.delivery_id, null::date from mail_batch_items i
   where i.outcome = 'accepted' and 'accepted_twice' = any(p_kinds)
   group by i.delivery_id having least(count(*), 2) = 2
  union all
  select 'same_story', d.story_id, null::date from scheduled_deliveries d
   where d.story_id is not null and 'same_story' = any(p_kinds)
   group by d.story_id having least(count(*), 2) = 2
  union all
  select 'same_date', d.user_id, d.local_date from scheduled_deliveries d
   where d.local_date >= p_since and 'same_date' = any(p_kinds)
   group by d.user_id, d.local_date having least(count(*), 2) = 2;
end
$$;

-- Second mails that no constraint in force rules out, at most p_limit of each kind; p_missing names the constraints that
-- are not. p_accepted: count what the provider accepted twice, too, which none rules out.
create function slipped_through_v2(p_missing text[], p_since date, p_limit integer, p_accepted boolean)
returns table (kind text, subject text, deliveries jsonb, detail text)
language plpgsql stable
set search_path = public, pg_temp
as $$
declare
  v_kinds text[] := array(
    select k.kind from (values ('accepted_twice', p_accepted),
                               ('same_story', 'unique_story_delivery' = any(p_missing)),
                               ('same_date', 'one_daily_delivery' = any(p_missing))) k(kind, counts) where k.counts);
begin
  if cardinality(v_kinds) > 0 then
    return query
    with twice as materialized (select * from counted_twice_v1(v_kinds, p_since))
    (select t.kind, t.id::text, jsonb_build_array(t.id),
            'provider ids ' || (select string_agg(coalesce(i.provider_id, 'unknown'), ', ' order by i.batch_id)
                                  from mail_batch_items i where i.delivery_id = t.id and i.outcome = 'accepted')
       from twice t where t.kind = 'accepted_twice' limit p_limit)
    union all
    (select t.kind, t.id::text, jsonb_agg(d.id order by d.id), 'one story, accepted ' || count(*) || ' times'
       from twice t join scheduled_deliveries d on d.story_id = t.id
      where t.kind = 'same_story' and was_accepted_v1(d.state)
      group by t.kind, t.id having count(*) filter (where d.local_date >= p_since) > 1 limit p_limit)
    union all
    (select t.kind, t.id::text, jsonb_agg(d.id order by d.id), t.day || ', accepted ' || count(*) || ' times'
       from twice t join scheduled_deliveries d on d.user_id = t.id and d.local_date = t.day
      where t.kind = 'same_date' and was_accepted_v1(d.state) and d.kind = 'daily'
      group by t.kind, t.id, t.day having count(*) > 1 limit p_limit);
  end if;
  if 'users_email_key' = any(p_missing) then
    return query
    select 'same_address', lower(u.email), '[]'::jsonb,
           count(*) || ' subscribers: ' || string_agg(u.id::text, ', ' order by u.id)
      from users u where u.status <> 'removed' group by lower(u.email) having count(*) > 1 limit p_limit;
  end if;
end
$$;

-- See 012.
create or replace function find_duplicates_v1(p_since date, p_limit integer, p_scan boolean)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_problems jsonb := (select coalesce(jsonb_object_agg(name, problem), '{}') from broken_constraints_v1());
begin
  return (
    with rows as (
      select * from slipped_through_v2(array(select jsonb_object_keys(v_problems)), p_since, p_limit, p_scan)
      union all
      (select 'accepted_twice', t.id, jsonb_build_array(t.id),
              'provider ids ' || (select string_agg(coalesce(provider_id, 'unknown'), ', ' order by batch_id)
                                    from mail_batch_items where delivery_id = t.id::uuid and outcome = 'accepted')
         from (select distinct target from audit_log
                where not p_scan and action = 'sent twice' and at >= p_since limit p_limit) t(id))
      union all
      (select 'sent_without_id', id::text, jsonb_build_array(id), 'it is ' || state
         from scheduled_deliveries where state in ('sent', 'delivered') and provider_id is null limit p_limit)
      union all
      select 'constraint', key, '[]', value from jsonb_each_text(v_problems)
      union all
      -- A leader reports right after each renewal; whoever takes over can only do so when that has lapsed.
      select 'two_leaders', h.kind, '[]', string_agg(process, ', ' order by process)
        from heartbeats h where info -> 'leads' = 'true' and seen_at > clock_timestamp() - interval '15 seconds'
       group by h.kind having count(*) > 1)
    select jsonb_build_object('findings', coalesce(jsonb_agg(to_jsonb(r) order by r.kind, r.subject), '[]'))
      from rows r);
end
$$;

drop function slipped_through_v1;
call close_to_clients_v1(array[]::text[], array['counted_twice_v1', 'slipped_through_v2']);
