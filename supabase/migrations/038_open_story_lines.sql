-- Opening a line to a provider of stories by hand: the stories that were handed back for it are wanted at once, too.

-- Let a line that stands still go on at once; the provider's next answer may stop it again. Mails are tried again as in
-- open_line_v2. Of stories, those that were handed back without using up an attempt may be claimed now, also where
-- another line was the reason: it says so again. Locks are taken in the order job, line. ok | already | gone
create function open_line_v3(p_line text, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  if (p_line = 'stories' or p_line like 'stories/%')
     and exists (select from send_lines where name = p_line and paused_until > v_now) then
    update story_jobs j set run_after = v_now, ring_at = v_now
      from (select id from story_jobs
             where state = 'pending' and ring_at > v_now and run_after > v_now and attempt = 0 and error is not null
             order by id for no key update) w
     where j.id = w.id;
    update send_lines set next_slot_at = least(next_slot_at, v_now) where name = p_line;
  end if;
  return open_line_v2(p_line, p_by, p_host, p_reason);
end
$$;

call close_to_clients_v1(array[]::text[], array['open_line_v3']);
