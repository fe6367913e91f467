-- Looking at deliveries: those that wait, and one with all that happened to it.

-- A page of the deliveries that wait, soonest due first, behind (p_after_due_at, p_after_id).
create function upcoming_deliveries_v1(p_after_due_at timestamptz, p_after_id uuid, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    with page as (
      select d as delivery, d.due_at, d.id from scheduled_deliveries d
       where d.state = 'pending'
         and (d.due_at, d.id) > (coalesce(p_after_due_at, '-infinity'),
                                 coalesce(p_after_id, '00000000-0000-0000-0000-000000000000'))
       order by d.due_at, d.id limit p_limit)
    select coalesce(jsonb_agg(delivery_row_v1(delivery) order by due_at, id), '[]') from page);
end
$$;

-- As show_delivery_v1, with when its story was planned, begun and written, and what the provider reported of it, the
-- last 100 events, oldest first.
create function show_delivery_v2(p_delivery uuid)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_shown jsonb := show_delivery_v1(p_delivery);
begin
  if v_shown is null then
    return null;
  end if;
  return v_shown || (
    select jsonb_build_object(
        'planned_at', j.created_at, 'begun_at', j.started_at, 'written_at', s.created_at,
        'events', (select coalesce(jsonb_agg(jsonb_build_object(
                       'kind', e.kind, 'provider_id', e.provider_id, 'happened_at', e.happened_at)
                       order by e.happened_at, e.id), '[]')
                     from (select * from provider_events where delivery_id = p_delivery
                            order by happened_at desc, id desc limit 100) e))
      from scheduled_deliveries d join story_jobs j on j.id = d.job_id left join stories s on s.id = d.story_id
     where d.id = p_delivery);
end
$$;

call close_to_clients_v1(array[]::text[], array['upcoming_deliveries_v1', 'show_delivery_v2']);
