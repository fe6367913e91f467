-- Opening a mail line by hand: what stood still with it leaves at once, too.

-- Let a line that stands still go on at once; the provider's next answer may stop it again. Batches that the provider
-- put off with it are tried again now; locks are taken in the order batch, line. ok | already | gone
create function open_line_v2(p_line text, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_line send_lines;
begin
  select * into v_line from send_lines where name = p_line;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  elsif v_line.paused_until <= v_now then
    return jsonb_build_object('verdict', 'already');
  end if;
  if p_line <> 'stories' and p_line not like 'stories/%' then
    update mail_batches b set next_attempt_at = v_now
      from (select id from mail_batches
             where settled_at is null and state = 'sealed' and next_attempt_at > v_now
             order by id for no key update) w
     where b.id = w.id;
  end if;
  update send_lines set paused_until = '-infinity', paused_reason = null
   where name = p_line and paused_until > clock_timestamp();
  if not found then
    return jsonb_build_object('verdict', 'already');
  end if;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'open line', p_line, p_reason, jsonb_build_object('was', v_line.paused_reason));
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(array[]::text[], array['open_line_v2']);
