-- What a subscriber's stories have in common, and what must not come again: the cast that recurs, and the titles, plots
-- and names told before. It changes in the transaction that completes a story.

alter table stories
  add column plot text not null default '',
  add column names jsonb not null default '[]',      -- of those who appear in this story alone
  add column fallback_from text;                      -- the writer that should have written it, and why it did not

-- What a story's subscriber was charged for it, so that a story that is written anew is not charged again.
alter table story_jobs add column charged integer not null default 0;

-- Who comes back in a subscriber's stories: [{name, role}].
create table story_casts (
  user_id uuid primary key references users,
  people jsonb not null,
  updated_at timestamptz not null default clock_timestamp()
);

-- Everything a writer needs to know about the job's subscriber; the stories written before are the history.
create function story_brief_v2(p_user uuid)
returns jsonb
language sql stable
set search_path = public, pg_temp
as $$
  select jsonb_build_object(
    'user_id', u.id, 'story_bible', u.story_bible,
    'past_titles', coalesce((
      select jsonb_agg(h.title) from (
        select s.title from stories s where s.user_id = u.id order by s.id desc limit 2000) h), '[]'),
    'past_plots', coalesce((
      select jsonb_agg(h.plot) filter (where h.plot <> '') from (
        select s.plot from stories s where s.user_id = u.id order by s.id desc limit 30) h), '[]'),
    'past_names', coalesce((
      select jsonb_agg(distinct n.name) from (
        select s.names from stories s where s.user_id = u.id order by s.id desc limit 30) h,
        lateral jsonb_array_elements_text(h.names) n(name)), '[]'),
    'cast', coalesce((select people from story_casts c where c.user_id = u.id), '[]'))
    from users u where u.id = p_user
$$;

-- As claim_story_job_v1; go carries the whole bible and the steps that are finished already:
-- go{token,attempt,brief,steps: [{step,writer,result}]}
create function claim_story_job_v2(p_job uuid, p_holder text, p_lease_s double precision, p_charge integer)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_claim jsonb;
  v_charged integer;
begin
  select charged into v_charged from story_jobs where id = p_job for no key update;
  v_claim := claim_story_job_v1(p_job, p_holder, p_lease_s, greatest(p_charge - coalesce(v_charged, 0), 0));
  if v_claim ->> 'verdict' <> 'go' then
    return v_claim;
  end if;
  return v_claim || jsonb_build_object(
    'brief', (select story_brief_v2(j.user_id) || jsonb_build_object('job_id', j.id, 'local_date', j.local_date)
                from story_jobs j where j.id = p_job),
    'steps', (select coalesce(jsonb_agg(jsonb_build_object('step', step, 'writer', writer, 'result', result)), '[]')
                from story_steps where job_id = p_job));
end
$$;

-- As complete_story_job_v1; in the same transaction the bible learns what the story told, and the finished steps go.
-- Steps that nobody came back for in a week go with them.
create function complete_story_job_v2(
  p_job uuid, p_token bigint, p_story uuid, p_delivery uuid, p_title text, p_body text, p_writer text,
  p_charge integer, p_plot text, p_names jsonb, p_cast jsonb, p_fallback_from text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_answer jsonb;
  v_charge integer;
begin
  select greatest(p_charge - charged, 0) into v_charge from story_jobs where id = p_job for no key update;
  v_answer := complete_story_job_v1(
    p_job, p_token, p_story, p_delivery, p_title, p_body, p_writer, coalesce(v_charge, 0));
  if v_answer ->> 'verdict' <> 'ok' then
    return v_answer;
  end if;
  update stories set plot = p_plot, names = p_names, fallback_from = p_fallback_from where id = p_story;
  insert into story_casts (user_id, people)
  select user_id, p_cast from story_jobs where id = p_job and jsonb_array_length(p_cast) > 0
  on conflict (user_id) do update set people = excluded.people, updated_at = clock_timestamp();
  update story_jobs set charged = charged + v_charge where id = p_job and v_charge > 0;
  delete from story_steps where job_id = p_job;
  delete from story_steps where (job_id, step) in (
    select job_id, step from story_steps where finished_at < clock_timestamp() - interval '7 days'
     order by finished_at limit 100 for update skip locked);
  return v_answer;
end
$$;

-- The brief of a subscriber's next story, to write one by hand; null when there is none.
create function preview_brief_v1(p_user uuid)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  return story_brief_v2(p_user);
end
$$;

-- A story as people see it, with what it took.
create function story_row_v1(p_story stories)
returns jsonb
language sql stable
set search_path = public, pg_temp
as $$
  select jsonb_build_object(
      'story_id', p_story.id, 'job_id', p_story.job_id, 'user_id', p_story.user_id, 'email', u.email,
      'local_date', p_story.local_date, 'title', p_story.title, 'writer', p_story.writer,
      'fallback_from', p_story.fallback_from, 'created_at', p_story.created_at, 'delivery_id', d.id,
      'delivery_state', d.state, 'requests', r.n, 'unknown', r.unknown, 'input_tokens', r.input_tokens,
      'cached_tokens', r.cached_tokens, 'output_tokens', r.output_tokens, 'cost_usd', r.cost_usd::text)
    from users u
    left join scheduled_deliveries d on d.story_id = p_story.id
   cross join lateral (
     select count(*) as n, count(*) filter (where cost_usd is null) as unknown,
            coalesce(sum(input_tokens), 0) as input_tokens, coalesce(sum(cached_tokens), 0) as cached_tokens,
            coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(cost_usd), 0) as cost_usd
       from story_requests q where q.job_id = p_story.job_id) r
   where u.id = p_story.user_id
$$;

-- Stories newest first, behind p_before; of one subscriber, or (null) of all.
create function list_stories_v1(p_user uuid, p_before uuid, p_limit integer)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
begin
  if p_user is null then
    return (
      select coalesce(jsonb_agg(story_row_v1(s) order by s.id desc), '[]') from (
        select * from stories where id < coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
         order by id desc limit p_limit) s);
  end if;
  return (
    select coalesce(jsonb_agg(story_row_v1(s) order by s.id desc), '[]') from (
      select * from stories where user_id = p_user and id < coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
       order by id desc limit p_limit) s);
end
$$;

-- One story by its own id, its job's or its delivery's, with its text and every request it took; null when there is none.
create function show_story_v1(p_id uuid)
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_story stories;
begin
  select s.* into v_story from stories s
   where s.id = p_id or s.job_id = p_id
      or s.id = (select story_id from scheduled_deliveries where id = p_id);
  if not found then
    return null;
  end if;
  return story_row_v1(v_story) || jsonb_build_object(
    'body', v_story.body, 'plot', v_story.plot, 'names', v_story.names,
    'steps', (select coalesce(jsonb_agg(jsonb_build_object(
        'step', step, 'line', line, 'model', model, 'outcome', coalesce(outcome, 'under way'), 'error', error,
        'begun_at', begun_at, 'ended_at', ended_at, 'input_tokens', input_tokens, 'cached_tokens', cached_tokens,
        'output_tokens', output_tokens, 'cost_usd', cost_usd::text) order by begun_at, id), '[]')
      from story_requests where job_id = v_story.job_id));
end
$$;

-- Have a daily story written anew whose mail nobody has begun: its job waits again, and its delivery counts as missed
-- until the new story is there. p_seen: the story that the operator looked at.
-- ok | already | changed | refused{reason} | gone
create function rewrite_story_v1(p_seen uuid, p_by text, p_host text, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_delivery scheduled_deliveries;
  v_story stories;
  v_now timestamptz;
begin
  select * into v_story from stories where id = p_seen;
  if not found then
    return jsonb_build_object('verdict', case when exists (
      select from audit_log where target = p_seen::text and action = 'story rewrite') then 'already' else 'gone' end);
  end if;
  select * into v_job from story_jobs where id = v_story.job_id for no key update;
  select * into v_delivery from scheduled_deliveries where story_id = p_seen for update;
  v_now := clock_timestamp();
  if not found or v_job.state <> 'completed' then
    return jsonb_build_object('verdict', 'changed');
  elsif v_delivery.state <> 'pending' or v_job.kind <> 'daily'
        or exists (select from mail_batch_items where delivery_id = v_delivery.id) then
    return jsonb_build_object('verdict', 'refused',
      'reason', 'its mail is ' || v_delivery.state || ': only one that was never in a mail request can be rewritten');
  elsif v_job.send_until <= v_now then
    return jsonb_build_object('verdict', 'refused', 'reason', 'it is too late to send it');
  end if;
  update scheduled_deliveries
     set state = 'missed', story_id = null, reason = 'its story is being rewritten', updated_at = v_now
   where id = v_delivery.id;
  delete from stories where id = p_seen;
  delete from story_steps where job_id = v_job.id;
  update story_jobs
     set state = 'pending', attempt = 0, error = null, holder = null, finished_at = null, step = null, percent = 0,
         run_after = v_now, ring_at = v_now
   where id = v_job.id;
  insert into audit_log (actor, host, action, target, reason, result)
  values (p_by, p_host, 'story rewrite', p_seen::text, p_reason,
          jsonb_build_object('job', v_job.id, 'title', v_story.title));
  return jsonb_build_object('verdict', 'ok');
end
$$;

call close_to_clients_v1(
  array['story_casts'],
  array['story_brief_v2', 'claim_story_job_v2', 'complete_story_job_v2', 'preview_brief_v1', 'story_row_v1',
        'list_stories_v1', 'show_story_v1', 'rewrite_story_v1']);
