-- The subscribers whose mail the provider rejected since the day before p_day, and to whom the next one would go all
-- the same: at most p_limit, the latest first, each once.
create function rejected_subscribers_v1(p_day date, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(r) order by r.at desc), '[]') from (
      select distinct on (u.id) 'rejected' as kind, u.id::text as subject,
             coalesce(d.address, u.email) || ': ' || coalesce(d.reason, 'no reason given') as detail,
             d.updated_at as at
        from (select * from scheduled_deliveries where state = 'rejected' order by due_at desc, id desc limit 500) d
        join users u on u.id = d.user_id
       where d.local_date >= p_day - 1 and u.status in ('active', 'paused')
       order by u.id, d.updated_at desc limit p_limit) r);
end
$$;

call close_to_clients_v1(array[]::text[], array['rejected_subscribers_v1']);
