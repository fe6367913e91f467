-- Asking language models: every request is on record before it leaves, with what it may cost at most, and is settled
-- with what it came to. One rate, one number of requests under way and one daily budget hold for the whole deployment.
-- The line to a model provider is a row of send_lines, like the lines to mail providers: `stories/<provider>`; the
-- budget of all of them is the line `stories`. Locks are taken in the order job, request, line, spending.

create table story_requests (
  id uuid primary key,
  line text not null,
  job_id uuid references story_jobs,  -- null: asked for by hand, as a preview
  step text not null check (step in ('plan', 'draft', 'edit')),
  model text not null,
  at_most_usd numeric,                -- what it can cost at most; null: the model's price is unknown
  lease_expires_at timestamptz not null,
  begun_at timestamptz not null,
  ended_at timestamptz,
  outcome text,                       -- null: under way. ok, unfit (an answer we could not use), lost, or the failure
  error text,
  input_tokens integer,
  cached_tokens integer,              -- of input_tokens: read from the provider's cache
  output_tokens integer,
  cost_usd numeric                    -- null: unknown
);
create index story_requests_open on story_requests (line) where ended_at is null;
create index story_requests_by_job on story_requests (job_id, begun_at);
create index story_requests_ended on story_requests (ended_at) where ended_at is not null;

-- What a UTC day's requests came to. `unknown` of them have no known cost: at_most_usd counts what they can have cost.
create table story_spending (
  day date not null,
  line text not null,
  model text not null,
  requests integer not null default 0,
  unknown integer not null default 0,
  input_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cost_usd numeric not null default 0,
  at_most_usd numeric not null default 0,
  primary key (day, line, model)
) with (fillfactor = 50);

-- Finished steps of stories that are still being written; gone when the story is complete.
create table story_steps (
  job_id uuid not null references story_jobs,
  step text not null check (step in ('plan', 'draft', 'edit')),
  writer text not null,
  result jsonb not null,
  finished_at timestamptz not null default clock_timestamp(),
  primary key (job_id, step)
);
create index story_steps_finished on story_steps (finished_at);

create function utc_day_v1(p_at timestamptz)
returns date
language sql immutable
as $$
  select (p_at at time zone 'UTC')::date
$$;

-- Count an ended request in the day it ended.
create function count_spending_v1(p_request story_requests)
returns void
language sql
set search_path = public, pg_temp
as $$
  insert into story_spending as s
    (day, line, model, requests, unknown, input_tokens, cached_tokens, output_tokens, cost_usd, at_most_usd)
  values (utc_day_v1(p_request.ended_at), p_request.line, p_request.model, 1,
          case when p_request.cost_usd is null then 1 else 0 end,
          coalesce(p_request.input_tokens, 0), coalesce(p_request.cached_tokens, 0),
          coalesce(p_request.output_tokens, 0), coalesce(p_request.cost_usd, 0),
          coalesce(p_request.cost_usd, p_request.at_most_usd, 0))
  on conflict (day, line, model) do update
    set requests = s.requests + excluded.requests, unknown = s.unknown + excluded.unknown,
        input_tokens = s.input_tokens + excluded.input_tokens,
        cached_tokens = s.cached_tokens + excluded.cached_tokens,
        output_tokens = s.output_tokens + excluded.output_tokens,
        cost_usd = s.cost_usd + excluded.cost_usd, at_most_usd = s.at_most_usd + excluded.at_most_usd
$$;

-- Requests whose sender is gone: the provider may have answered, and bills what it did.
create function end_lost_requests_v1(p_line text)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_request story_requests;
begin
  for v_request in
    update story_requests
       set ended_at = clock_timestamp(), outcome = 'lost', error = 'whoever asked died before the answer'
     where id in (select id from story_requests
                   where line = p_line and ended_at is null and lease_expires_at < clock_timestamp()
                   order by id for no key update skip locked)
    returning *
  loop
    perform count_spending_v1(v_request);
  end loop;
end
$$;

-- Whether a request that may cost p_at_most_usd fits into today's budget, and if not, why; the line `stories` says the
-- same to everybody who looks. no | busy: what is under way may still leave room | spent
create function budget_verdict_v1(p_budget_usd numeric, p_at_most_usd numeric)
returns text
language plpgsql
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_spent numeric;
  v_open numeric;
  v_verdict text := 'no';
  v_until timestamptz := '-infinity';
begin
  if p_budget_usd is null then
    update send_lines set paused_until = '-infinity' where name = 'stories' and paused_until > v_now;
    return 'no';
  end if;
  insert into send_lines (name, rate) values ('stories', 1) on conflict do nothing;
  perform from send_lines where name = 'stories' for no key update;
  select coalesce(sum(at_most_usd), 0) into v_spent from story_spending where day = utc_day_v1(v_now);
  select coalesce(sum(at_most_usd), 0) into v_open from story_requests where ended_at is null;
  if v_spent + v_open + p_at_most_usd > p_budget_usd then
    v_verdict := case when v_open > 0 and v_spent + p_at_most_usd <= p_budget_usd then 'busy' else 'spent' end;
  end if;
  if v_verdict = 'spent' then
    v_until := (utc_day_v1(v_now) + 1)::timestamp at time zone 'UTC';
  end if;
  update send_lines
     set paused_until = v_until,
         paused_reason = format(
           'the daily budget of %s USD has no room for another request: %s USD are spent today; writing goes on at 00:00 UTC',
           trim_scale(p_budget_usd), round(v_spent, 4))
   where name = 'stories' and paused_until is distinct from v_until;
  return v_verdict;
end
$$;

-- Ask to send one request to a model, for the holder of a job's claim or (p_job null) by hand. p_rate: requests a
-- second at most; p_most: under way at once; p_lease_s: counted from the request's slot. The job shows step and percent.
-- go{wait_s} | later{wait_s,reason} | paused{wait_s,reason,line} | stale
create function admit_story_request_v1(
  p_request uuid, p_line text, p_rate double precision, p_most integer, p_lease_s double precision,
  p_max_wait_s double precision, p_job uuid, p_token bigint, p_step text, p_percent integer, p_model text,
  p_at_most_usd text, p_budget_usd text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_line send_lines;
  v_now timestamptz;
  v_slot timestamptz;
  v_budget text;
begin
  if exists (select from story_requests where id = p_request) then
    return jsonb_build_object('verdict', 'go', 'wait_s', 0);
  end if;
  if p_job is not null then
    select * into v_job from story_jobs where id = p_job for no key update;
    if not found or not claim_stands_v1(v_job, p_token) then
      return jsonb_build_object('verdict', 'stale');
    end if;
    update story_jobs set step = p_step, percent = p_percent where id = p_job;
  end if;
  insert into send_lines (name, rate) values (p_line, p_rate) on conflict do nothing;
  perform end_lost_requests_v1(p_line);
  select * into v_line from send_lines where name = p_line for no key update;
  v_now := clock_timestamp();
  if v_line.paused_until > v_now then
    return jsonb_build_object('verdict', 'paused', 'line', p_line, 'reason', v_line.paused_reason,
                              'wait_s', extract(epoch from v_line.paused_until - v_now));
  elsif (select count(*) from story_requests where line = p_line and ended_at is null) >= p_most then
    return jsonb_build_object('verdict', 'later', 'wait_s', 1,
                              'reason', format('%s requests are under way already', p_most));
  end if;
  v_slot := greatest(v_now, v_line.next_slot_at);
  if extract(epoch from v_slot - v_now) > p_max_wait_s then
    return jsonb_build_object('verdict', 'later', 'wait_s', extract(epoch from v_slot - v_now),
                              'reason', 'the rate of requests is used up');
  end if;
  v_budget := budget_verdict_v1(p_budget_usd::numeric, coalesce(p_at_most_usd::numeric, 0));
  if v_budget = 'busy' then
    return jsonb_build_object('verdict', 'later', 'wait_s', 2,
                              'reason', 'what is under way may use up the daily budget');
  elsif v_budget = 'spent' then
    return (select jsonb_build_object('verdict', 'paused', 'line', name, 'reason', paused_reason,
                                      'wait_s', extract(epoch from paused_until - v_now))
              from send_lines where name = 'stories');
  end if;
  update send_lines
     set rate = least(rate, p_rate), next_slot_at = v_slot + make_interval(secs => 1 / least(rate, p_rate))
   where name = p_line;
  insert into story_requests (id, line, job_id, step, model, at_most_usd, lease_expires_at, begun_at)
  values (p_request, p_line, p_job, p_step, p_model, p_at_most_usd::numeric,
          v_slot + make_interval(secs => p_lease_s), v_slot);
  return jsonb_build_object('verdict', 'go', 'wait_s', extract(epoch from v_slot - v_now));
end
$$;

-- Record what a request came to, and keep p_keep as the step's result while p_token still holds the job. After a
-- success the line may go a little faster again, up to p_rate; p_pause_s stops it for so long, for the reason p_error,
-- and p_slower halves its rate. A request that was given up as lost and comes back after all is counted right.
-- ok | already | stale, when the result was not kept | gone
create function settle_story_request_v1(
  p_request uuid, p_token bigint, p_rate double precision, p_outcome text, p_error text, p_input_tokens integer,
  p_cached_tokens integer, p_output_tokens integer, p_cost_usd text, p_pause_s double precision, p_slower boolean,
  p_writer text, p_keep jsonb)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_request story_requests;
  v_now timestamptz;
  v_job_id uuid;
  v_kept boolean := true;
begin
  select job_id into v_job_id from story_requests where id = p_request;
  select * into v_job from story_jobs where id = v_job_id for no key update;
  select * into v_request from story_requests where id = p_request for no key update;
  if not found then
    return jsonb_build_object('verdict', 'gone');
  elsif v_request.ended_at is not null and v_request.outcome <> 'lost' then
    return jsonb_build_object('verdict', 'already');
  end if;
  v_now := clock_timestamp();
  if v_request.outcome = 'lost' then
    update story_spending
       set requests = requests - 1, unknown = unknown - 1, at_most_usd = at_most_usd - coalesce(v_request.at_most_usd, 0)
     where day = utc_day_v1(v_request.ended_at) and line = v_request.line and model = v_request.model;
  end if;
  update story_requests
     set ended_at = v_now, outcome = p_outcome, error = p_error, input_tokens = p_input_tokens,
         cached_tokens = p_cached_tokens, output_tokens = p_output_tokens, cost_usd = p_cost_usd::numeric
   where id = p_request returning * into v_request;
  perform count_spending_v1(v_request);
  if p_pause_s is not null then
    update send_lines
       set paused_until = greatest(paused_until, v_now + make_interval(secs => p_pause_s)), paused_reason = p_error,
           next_slot_at = greatest(next_slot_at, v_now + make_interval(secs => p_pause_s)),
           rate = case when p_slower then greatest(rate / 2, 0.05) else rate end
     where name = v_request.line;
  elsif p_outcome = 'ok' then
    update send_lines set rate = least(rate * 1.05, p_rate) where name = v_request.line and rate < p_rate;
  end if;
  if p_keep is not null and v_job.id is not null then
    v_kept := claim_stands_v1(v_job, p_token);
    insert into story_steps (job_id, step, writer, result)
    select v_job.id, v_request.step, p_writer, p_keep where v_kept
    on conflict do nothing;
  end if;
  return jsonb_build_object('verdict', case when v_kept then 'ok' else 'stale' end);
end
$$;

-- Hand a claimed job back for p_wait_s seconds, for a reason that is not the story's: it costs no attempt.
-- ok | already | stale
create function postpone_story_job_v1(p_job uuid, p_token bigint, p_wait_s double precision, p_reason text)
returns jsonb
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
  v_job story_jobs;
  v_again timestamptz;
begin
  select * into v_job from story_jobs where id = p_job for no key update;
  if found and v_job.token = p_token and v_job.state = 'pending' then
    return jsonb_build_object('verdict', 'already');
  elsif not found or not claim_stands_v1(v_job, p_token) then
    return jsonb_build_object('verdict', 'stale');
  end if;
  v_again := clock_timestamp() + make_interval(secs => p_wait_s);
  update story_jobs
     set state = 'pending', holder = null, lease_expires_at = null, attempt = attempt - 1, error = p_reason,
         run_after = v_again, ring_at = v_again
   where id = p_job;
  return jsonb_build_object('verdict', 'ok');
end
$$;

-- Writing at one look: its lines, what today cost, and how the requests of the last hour ended.
create function writing_outlook_v1()
returns jsonb
language plpgsql stable security definer
set search_path = public, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return jsonb_build_object(
    'now', v_now,
    'lines', (select coalesce(jsonb_agg(jsonb_build_object(
        'name', name, 'rate', rate, 'paused_until', case when paused_until > v_now then paused_until end,
        'paused_reason', case when paused_until > v_now then paused_reason end) order by name), '[]')
      from send_lines where name = 'stories' or name like 'stories/%'),
    'open', (select count(*) from story_requests where ended_at is null),
    'today', (select coalesce(jsonb_agg(jsonb_build_object(
        'line', line, 'model', model, 'requests', requests, 'unknown', unknown, 'input_tokens', input_tokens,
        'cached_tokens', cached_tokens, 'output_tokens', output_tokens, 'cost_usd', cost_usd::text,
        'at_most_usd', at_most_usd::text) order by line, model), '[]')
      from story_spending where day = utc_day_v1(v_now)),
    'last_hour', (select coalesce(jsonb_agg(to_jsonb(h) order by h.line, h.outcome), '[]') from (
        select line, outcome, count(*) as n, (array_agg(error order by ended_at desc))[1] as last_error
          from story_requests where ended_at > v_now - interval '1 hour' group by line, outcome) h));
end
$$;

call close_to_clients_v1(
  array['story_requests', 'story_spending', 'story_steps'],
  array['utc_day_v1', 'count_spending_v1', 'end_lost_requests_v1', 'budget_verdict_v1', 'admit_story_request_v1',
        'settle_story_request_v1', 'postpone_story_job_v1', 'writing_outlook_v1']);
