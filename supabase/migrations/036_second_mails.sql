-- Second mails are found without reading the table, whatever constraint is not in force.

-- Stands in for unique_story_delivery's index when that is gone. A story's id grows with time, so that each insert
-- appends to it, and no update touches it.
create index deliveries_by_story on scheduled_deliveries (story_id) where story_id is not null;

-- See 012. Who asks for the last days has them read by date; who asks for more has all stories counted in their index.
create or replace function slipped_through_v1(p_missing text[], p_since date, p_limit integer)
returns table (kind text, subject text, deliveries jsonb, detail text)
language plpgsql stable
set search_path = public, pg_temp
set work_mem = '64MB'
as $$
declare
  v_stories uuid[];
begin
  if 'unique_story_delivery' = any(p_missing) then
    if p_since >= current_date - 7 then
      v_stories := array(select d.story_id from scheduled_deliveries d
                          where d.local_date >= p_since and was_accepted_v1(d.state) and d.story_id is not null
                          group by d.story_id having count(*) > 1 limit p_limit);
    else
      v_stories := array(select d.story_id from scheduled_deliveries d where d.story_id is not null
                          group by d.story_id having count(*) > 1);
    end if;
    return query
    select 'same_story', d.story_id::text, jsonb_agg(d.id order by d.id), 'one story, accepted ' || count(*) || ' times'
      from scheduled_deliveries d
     where d.story_id = any(v_stories) and was_accepted_v1(d.state)
     group by d.story_id having count(*) filter (where d.local_date >= p_since) > 1 limit p_limit;
  end if;
  if 'one_daily_delivery' = any(p_missing) then
    return query
    with twice as materialized (
      select d.user_id, d.local_date from scheduled_deliveries d
       where d.local_date >= p_since group by d.user_id, d.local_date having count(*) > 1)
    select 'same_date', d.user_id::text, jsonb_agg(d.id order by d.id),
           d.local_date || ', accepted ' || count(*) || ' times'
      from twice join scheduled_deliveries d using (user_id, local_date)
     where was_accepted_v1(d.state) and d.kind = 'daily'
     group by d.user_id, d.local_date having count(*) > 1 limit p_limit;
  end if;
  if 'users_email_key' = any(p_missing) then
    return query
    select 'same_address', lower(u.email), '[]'::jsonb,
           count(*) || ' subscribers: ' || string_agg(u.id::text, ', ' order by u.id)
      from users u where u.status <> 'removed' group by lower(u.email) having count(*) > 1 limit p_limit;
  end if;
end
$$;
