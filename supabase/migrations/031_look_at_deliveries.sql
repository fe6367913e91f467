-- Many deliveries at once, as an operator sees them before anything is done to them.

-- These deliveries, and whether the mail of each may be out: it was begun, and neither refused nor reported as failed.
create function look_at_deliveries_v1(p_deliveries jsonb)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(
             delivery_row_v1(d) || jsonb_build_object('maybe_out', maybe_out_since_v1(d) is not null)), '[]')
      from scheduled_deliveries d
     where d.id in (select value::uuid from jsonb_array_elements_text(p_deliveries)));
end
$$;

call close_to_clients_v1(array[]::text[], array['look_at_deliveries_v1']);
