-- Takes over what the earlier FixionMail left in the schema `earlier`; nothing happens where there is none. No mail is
-- sent again: what may be on its way is uncertain, and of several mails of one story or one date the first is kept as
-- the day's and the others as history (kind extra). Columns are read through to_jsonb, because not every database has
-- all of them. When each subscriber is due next is computed by the caller, with fixionmail.schedule.

-- Text out of what may be text, an object with a name, or anything.
create function pg_temp.words(p_value jsonb) returns text
language sql immutable as $$
  select left(nullif(trim(case jsonb_typeof(p_value)
    when 'string' then p_value #>> '{}'
    when 'object' then coalesce(p_value ->> 'name', p_value ->> 'description', p_value ->> 'type') end), ''), 200)
$$;

-- An id that sorts by time, as UUIDv7 do, and is always the same for the same thing.
create function pg_temp.moment_id(p_at timestamptz, p_what text) returns uuid
language sql immutable as $$
  select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || '7' || substr(md5(p_what), 1, 3) || '8'
          || substr(md5(p_what), 4, 15))::uuid
$$;

do $$
declare
  c_open constant text := 'the earlier FixionMail had not written it: it is planned anew';
begin
  if to_regclass('earlier.users') is null then
    return;
  end if;
  set local statement_timeout = 0;

  create temporary table person on commit drop as
  select j.id, j.email, j.row, j.row #>> '{preferences,timezone}' as timezone,
         j.row #>> '{preferences,delivery_time}' as delivery_time, coalesce(z.name, 'UTC') as zone, j.is_active,
         row_number() over (partition by lower(j.email) order by j.is_active desc, j.row ->> 'created_at', j.id) as place
    from (select u.id, u.email, to_jsonb(u) as row,
                 coalesce(to_jsonb(u) ->> 'subscription_status', 'active') in ('active', 'trial')
                   and coalesce(to_jsonb(u) ->> 'onboarding_completed', 'true') = 'true' as is_active
            from earlier.users u) j
    left join pg_timezone_names z on z.name = j.row #>> '{preferences,timezone}';
  create index on person (id);
  create index on person (lower(email));
  analyze person;

  insert into users (id, email, status, status_reason, timezone, delivery_time, story_bible, credits,
                     unsubscribe_token, created_at, updated_at)
  select id, case place when 1 then email else id || '@duplicate.invalid' end,
         case when place > 1 then 'removed' when is_active then 'active' else 'paused' end,
         case when place > 1 then 'has the address of another: ' || email
              when not is_active then 'was ' || coalesce(row ->> 'subscription_status', 'not active')
                || ' in the earlier FixionMail' end,
         coalesce(nullif(timezone, ''), 'UTC'), coalesce(nullif(delivery_time, ''), '08:00'),
         jsonb_strip_nulls(jsonb_build_object(
           'genre', coalesce(pg_temp.words(row -> 'current_genre'), pg_temp.words(row #> '{story_bible,genre}')),
           'setting', pg_temp.words(row #> '{story_bible,setting}'),
           'character', coalesce(pg_temp.words(row #> '{story_bible,character}'),
                                 pg_temp.words(row #> '{story_bible,main_character}'),
                                 pg_temp.words(row #> '{story_bible,protagonist}'),
                                 pg_temp.words(row -> 'current_protagonist')))),
         coalesce((row ->> 'credits')::integer, 0),
         replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''),
         coalesce((row ->> 'created_at')::timestamptz, now()), now()
    from person;

  -- Every mail; a story that was mailed without one is given one.
  create temporary table mail on commit drop as
  select m.*,
         row_number() over (partition by story_id order by weight, created_at, id) as of_story,
         row_number() over (partition by user_id, local_date order by weight, created_at, id) as of_date
    from (
      select d.id, d.story_id, d.user_id, d.user_email, d.status, d.deliver_at, d.sent_at, d.resend_email_id,
             d.error_message, d.created_at, p.zone, (d.deliver_at at time zone p.zone)::date as local_date,
             case d.status when 'sent' then 1 when 'sending' then 2 when 'pending' then 3 else 4 end as weight
        from earlier.scheduled_deliveries d join person p on p.id = d.user_id
      union all
      select md5('mail of ' || s.id)::uuid, s.id, s.user_id, p.email, 'sent', s.at, s.at, null, null, s.at, p.zone,
             (s.at at time zone p.zone)::date, 1
        from (select id, user_id, coalesce((to_jsonb(e) ->> 'delivered_at')::timestamptz, created_at) as at
                from earlier.stories e
               where to_jsonb(e) ->> 'delivered_at' is not null or to_jsonb(e) ->> 'email_sent' = 'true') s
        join person p on p.id = s.user_id
       where not exists (select from earlier.scheduled_deliveries d where d.story_id = s.id)) m;
  create index on mail (story_id);
  analyze mail;

  -- Every story with its job, once for itself or its first mail, and once more for each further mail.
  create temporary table tale on commit drop as
  select s.id as earlier_id, m.id as mail_id, s.user_id, s.created_at,
         coalesce(m.local_date, (s.created_at at time zone p.zone)::date) as local_date,
         coalesce(m.deliver_at, s.created_at) as due_at, p.zone,
         case when m.of_date = 1 then 'daily' else 'extra' end as kind,
         coalesce(j.id, md5('job of ' || s.id)::uuid) as job_id,
         pg_temp.moment_id(s.created_at, s.id::text) as story_id
    from earlier.stories s
    join person p on p.id = s.user_id
    left join mail m on m.story_id = s.id and m.of_story = 1
    left join (select distinct on (story_id) id, story_id from earlier.story_jobs
                where story_id is not null order by story_id, created_at, id) j on j.story_id = s.id
  union all
  select m.story_id, m.id, m.user_id, m.created_at, m.local_date, m.deliver_at, m.zone, 'extra',
         md5('job of ' || m.id)::uuid, pg_temp.moment_id(m.created_at, m.id::text)
    from mail m where m.of_story > 1;
  create index on tale (earlier_id);
  create index on tale (job_id);
  create index on tale (mail_id);
  analyze tale;

  -- The time by which it may still be sent: six hours, or local midnight. At a midnight that occurs twice either will do.
  insert into story_jobs (id, user_id, kind, local_date, due_at, send_until, state, attempt, run_after, ring_at,
                          step, percent, created_at, started_at, finished_at)
  select t.job_id, t.user_id, t.kind, t.local_date, t.due_at, t.due_at + interval '6 hours', 'completed',
         least(coalesce((to_jsonb(j) ->> 'retry_count')::integer, 0) + 1, 100), t.created_at, t.created_at,
         'done', 100, coalesce(j.created_at, t.created_at), (to_jsonb(j) ->> 'started_at')::timestamptz,
         coalesce((to_jsonb(j) ->> 'completed_at')::timestamptz, t.created_at)
    from tale t left join earlier.story_jobs j on j.id = t.job_id;

  insert into story_jobs (id, user_id, kind, local_date, due_at, send_until, state, attempt, run_after, ring_at,
                          error, created_at, started_at, finished_at)
  select j.id, p.id, 'extra', (j.created_at at time zone p.zone)::date, j.created_at,
         j.created_at + interval '6 hours',
         case j.status when 'completed' then 'completed' when 'failed' then 'failed' else 'cancelled' end,
         least(coalesce((to_jsonb(j) ->> 'retry_count')::integer, 0) + 1, 100), j.created_at, j.created_at,
         case when j.status not in ('pending', 'running') then j.error_message
              when j.created_at > now() - interval '1 day' then c_open
              else 'left over in the earlier FixionMail' end,
         j.created_at, (to_jsonb(j) ->> 'started_at')::timestamptz,
         coalesce((to_jsonb(j) ->> 'completed_at')::timestamptz, now())
    from earlier.story_jobs j
    join person p on p.id = coalesce(j.user_id, (
      select a.id from person a where lower(a.email) = lower(j.user_email) and a.place = 1))
   where not exists (select from tale t where t.job_id = j.id);

  insert into stories (id, job_id, user_id, local_date, title, body, writer, created_at)
  select t.story_id, t.job_id, t.user_id, t.local_date, coalesce(nullif(trim(s.title), ''), 'Untitled'),
         coalesce(nullif(s.narrative, ''), '(no text)'),
         coalesce(nullif(to_jsonb(s) ->> 'model_used', ''), 'the earlier FixionMail'), t.created_at
    from tale t join earlier.stories s on s.id = t.earlier_id;

  insert into scheduled_deliveries (id, job_id, story_id, user_id, kind, local_date, due_at, send_until, state, reason,
                                    address, provider_id, created_at, sent_at)
  select m.id, t.job_id, t.story_id, m.user_id, case when m.of_story = 1 then t.kind else 'extra' end, m.local_date,
         m.deliver_at,
         least(greatest(m.deliver_at + interval '6 hours', (m.local_date + 1)::timestamp at time zone m.zone),
               m.deliver_at + interval '23 hours'),
         case m.status when 'sent' then 'sent' when 'sending' then 'uncertain' when 'failed' then 'rejected'
           else case when m.of_story = 1 and m.of_date = 1 then 'pending' else 'cancelled' end end,
         case m.status when 'sending' then 'the earlier FixionMail was sending it when it stopped'
           when 'failed' then 'failed in the earlier FixionMail: ' || coalesce(m.error_message, 'no reason is known')
           when 'pending' then case when m.of_story > 1 then 'this story has another mail'
                                    when m.of_date > 1 then 'another story has the mail of this date' end end,
         case m.status when 'pending' then null else m.user_email end,
         case m.status when 'sent' then coalesce(nullif(m.resend_email_id, ''), 'earlier/' || m.id) end,
         m.created_at, case m.status when 'sent' then coalesce(m.sent_at, m.deliver_at) end
    from mail m join tale t on t.mail_id = m.id;

  insert into audit_log (actor, action, target, result)
  values ('migration', 'earlier FixionMail taken over', '', (select jsonb_build_object(
    'subscribers', (select count(*) from users), 'stories', (select count(*) from stories),
    'deliveries', (select count(*) from scheduled_deliveries))));
end
$$;

-- Subscribers of whom it is not known when they are due next, after p_after, with what that follows from.
-- open_date: a date whose story was begun and is to be planned anew.
create function unscheduled_subscribers_v1(p_after uuid, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  if not exists (select from users u where not exists (select from subscriber_schedule s where s.user_id = u.id)) then
    return '[]';
  end if;
  return (
    with begun as materialized (
      select user_id, max(local_date) as open_date from story_jobs
       where state = 'cancelled' and error like 'the earlier FixionMail had not%' group by user_id)
    select coalesce(jsonb_agg(to_jsonb(r) order by r.user_id), '[]') from (
      select u.id as user_id, u.timezone, u.delivery_time, d.last_local_date, d.last_due_at, b.open_date
        from users u
        left join begun b on b.user_id = u.id
        left join lateral (
          select max(local_date) as last_local_date, max(due_at) as last_due_at
            from scheduled_deliveries
           where user_id = u.id and kind = 'daily' and state not in ('missed', 'cancelled')) d on true
       where not exists (select from subscriber_schedule s where s.user_id = u.id)
         and u.id > coalesce(p_after, '00000000-0000-0000-0000-000000000000')
       order by u.id limit p_limit) r);
end
$$;

-- Give subscribers who have none the instant at which they are due next. Returns how many.
create function schedule_subscribers_v1(p_rows jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_n integer;
begin
  insert into subscriber_schedule (user_id, active, next_local_date, next_due_at, last_local_date, last_due_at)
  select u.id, u.status = 'active', r.next_local_date, r.next_due_at, r.last_local_date, r.last_due_at
    from jsonb_to_recordset(p_rows) r(
           user_id uuid, next_local_date date, next_due_at timestamptz, last_local_date date, last_due_at timestamptz)
    join users u on u.id = r.user_id
   order by u.id
  on conflict do nothing;
  get diagnostics v_n = row_count;
  return jsonb_build_object('scheduled', v_n);
end
$$;

-- What was taken over, in numbers: before (by the earlier words) and after (by ours); null when there was nothing.
create function taken_over_v1()
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  if to_regclass('earlier.users') is null then
    return null;
  end if;
  return jsonb_build_object(
    'before', jsonb_build_object(
      'subscribers', (select count(*) from earlier.users),
      'stories', (select count(*) from earlier.stories),
      'jobs', (select coalesce(jsonb_object_agg(status, n), '{}') from (
        select status, count(*) as n from earlier.story_jobs group by status) j),
      'deliveries', (select coalesce(jsonb_object_agg(status, n), '{}') from (
        select status, count(*) as n from earlier.scheduled_deliveries group by status) d)),
    'after', jsonb_build_object(
      'subscribers', (select coalesce(jsonb_object_agg(status, n), '{}') from (
        select status, count(*) as n from users group by status) u),
      'stories', (select count(*) from stories),
      'jobs', (select coalesce(jsonb_object_agg(state, n), '{}') from (
        select state, count(*) as n from story_jobs group by state) j),
      'deliveries', (select coalesce(jsonb_object_agg(state, n), '{}') from (
        select state, count(*) as n from scheduled_deliveries group by state) d)),
    'left_behind', jsonb_build_object('jobs without subscriber', (
      select count(*) from earlier.story_jobs j where not exists (select from story_jobs o where o.id = j.id))));
end
$$;

call close_to_clients_v1(array[]::text[], array[
  'unscheduled_subscribers_v1', 'schedule_subscribers_v1', 'taken_over_v1']);
