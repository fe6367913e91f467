-- After a restore of the database: what the provider sent and we no longer know of.

-- Take in one mail that the provider has sent to a reader of ours. p_delivery and p_local_date are those of its tags,
-- p_event is the last thing that happened to it. Where its delivery is gone, the date is taken all the same: nothing is
-- written or sent for it again. Locks are taken in the order job, delivery, as everywhere.
-- ok | already | unknown, when it is to nobody we know
create function reconcile_mail_v1(
  p_provider_id text, p_delivery uuid, p_event text, p_address text, p_local_date date, p_sent_at timestamptz,
  p_by text, p_host text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_reason text := format('its mail went out as %s before the database was restored', p_provider_id);
  v_answer jsonb;
  v_user uuid;
  v_job story_jobs;
  v_delivery scheduled_deliveries;
begin
  v_answer := record_event_v1(
    'reconcile/' || p_provider_id || '/' || p_event, p_event, p_provider_id, p_delivery, p_sent_at, '', false);
  if v_answer ->> 'verdict' = 'ok' then
    return jsonb_build_object('verdict', 'ok');
  end if;
  if exists (select from scheduled_deliveries where provider_id = p_provider_id or id = p_delivery) then
    return jsonb_build_object('verdict', 'already');
  end if;

  select id into v_user from users where lower(email) = lower(p_address);
  if not found then
    return jsonb_build_object('verdict', 'unknown');
  end if;
  select * into v_job from story_jobs
   where user_id = v_user and local_date = p_local_date and kind = 'daily' for no key update;
  select id into v_delivery.id from scheduled_deliveries
   where user_id = v_user and local_date = p_local_date and kind = 'daily';
  if found then
    v_delivery := lock_delivery_v1(v_delivery.id);
    if outcome_weight_v1(v_delivery.state) > 0 or v_delivery.story_id is null then
      return jsonb_build_object('verdict', 'already');
    end if;
    perform fold_event_v1(v_delivery, p_event, p_provider_id, p_sent_at, '');
    return jsonb_build_object('verdict', 'ok');
  end if;

  if v_job.id is null then
    insert into story_jobs (id, user_id, local_date, due_at, send_until, state, run_after, ring_at, error, finished_at)
    values (gen_random_uuid(), v_user, p_local_date, p_sent_at, p_sent_at, 'cancelled', p_sent_at, p_sent_at, v_reason,
            clock_timestamp())
    returning * into v_job;
  elsif v_job.state in ('pending', 'running') then
    update story_jobs
       set state = 'cancelled', error = v_reason, holder = null, lease_expires_at = null, finished_at = clock_timestamp()
     where id = v_job.id;
  end if;
  insert into scheduled_deliveries
    (id, job_id, user_id, local_date, due_at, send_until, state, reason, address)
  values (coalesce(p_delivery, gen_random_uuid()), v_job.id, v_user, p_local_date, p_sent_at, p_sent_at, 'cancelled',
          v_reason, p_address);
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'mail reconciled', v_job.id::text, v_reason,
          jsonb_build_object('provider_id', p_provider_id, 'local_date', p_local_date));
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(array[]::text[], array['reconcile_mail_v1']);
