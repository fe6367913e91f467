-- See 014. A second delivery of a date may have a job of its own, which then is an extra one of that date.
-- Take a second delivery out, as long as p_keeps is there and shares its story or its date. ok | gone |
-- changed, when they have nothing in common any more | refused, while it is being sent
create or replace function set_aside_delivery_v1(p_delivery uuid, p_keeps uuid, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_delivery scheduled_deliveries := lock_delivery_v1(p_delivery);
  v_items jsonb;
begin
  if v_delivery.id is null then
    return jsonb_build_object('verdict', 'gone');
  elsif not exists (
      select from scheduled_deliveries k
       where k.id = p_keeps and k.id <> p_delivery
         and (k.story_id = v_delivery.story_id
              or (k.user_id = v_delivery.user_id and k.local_date = v_delivery.local_date
                  and k.kind = 'daily' and v_delivery.kind = 'daily'))) then
    return jsonb_build_object('verdict', 'changed');
  elsif exists (select from mail_batch_items where delivery_id = p_delivery and live) then
    return jsonb_build_object('verdict', 'refused', 'reason', 'it is being sent');
  end if;
  select coalesce(jsonb_agg(to_jsonb(i)), '[]') into v_items from mail_batch_items i where delivery_id = p_delivery;
  delete from mail_batch_items where delivery_id = p_delivery;
  delete from scheduled_deliveries where id = p_delivery;
  update story_jobs j set kind = 'extra'
   where j.id = v_delivery.job_id and j.kind = 'daily' and exists (
     select from story_jobs o
      where o.user_id = j.user_id and o.local_date = j.local_date and o.kind = 'daily' and o.id <> j.id);
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'delivery set aside', p_delivery::text, p_reason,
          jsonb_build_object('keeps', p_keeps, 'delivery', to_jsonb(v_delivery), 'items', v_items));
  return jsonb_build_object('verdict', 'ok');
end
$$;
