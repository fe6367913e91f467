-- What operators do by hand, beyond single deliveries.

-- Story jobs that may be claimed now and have not been, those that have waited longest first.
create function waiting_jobs_v1(p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(id), '[]') from (
    select id from story_jobs where state = 'pending' and run_after <= clock_timestamp()
     order by ring_at, id limit p_limit) j);
end
$$;

-- Let a mail line that stands still go on at once; the provider's next answer may stop it again.
-- ok | already | gone
create function open_line_v1(p_line text, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_why text;
begin
  select paused_reason into v_why from send_lines where name = p_line for update;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  end if;
  update send_lines set paused_until = '-infinity', paused_reason = null
   where name = p_line and paused_until > clock_timestamp();
  if not found then
    return jsonb_build_object('verdict', 'already');
  end if;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'open line', p_line, p_reason, jsonb_build_object('was', v_why));
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(array[]::text[], array['waiting_jobs_v1', 'open_line_v1']);
