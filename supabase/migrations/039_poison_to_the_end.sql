-- See 013. A job that has used up its attempts is poison as one with some left is, as long as its story could be sent;
-- and written stories that were missed are named, so that they can be retried.
create or replace function witnesses_v1(p_day date, p_limit integer)
returns jsonb
language plpgsql stable
set search_path = public, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
        'kind', w.kind, 'subject', w.subject, 'detail', w.detail, 'at', w.at) order by w.kind, w.at desc), '[]')
      from (
        (select 'rejected' as kind, d.user_id::text as subject,
                coalesce(d.address, u.email) || ': ' || coalesce(d.reason, 'no reason given') as detail, d.updated_at as at
           from (select * from scheduled_deliveries where state = 'rejected'
                  order by due_at desc, id desc limit p_limit) d
           join users u on u.id = d.user_id
          where d.local_date >= p_day - 1)
        union all
        (select 'missed', d.id::text, coalesce(d.address, '') || ': ' || coalesce(d.reason, 'no reason given'), d.updated_at
           from (select * from scheduled_deliveries where state = 'missed'
                  order by due_at desc, id desc limit p_limit) d
          where d.local_date >= p_day - 1 and d.story_id is not null)
        union all
        (select 'uncertain', d.id::text, coalesce(d.address, '') || ': ' || coalesce(d.reason, ''), d.updated_at
           from scheduled_deliveries d where d.state = 'uncertain' order by d.due_at desc, d.id desc limit p_limit)
        union all
        (select 'stuck', i.delivery_id::text, format('%s: batch %s is %s after %s attempts%s', d.address, b.id, b.state,
                b.attempts, coalesce(', ' || b.last_error, '')), coalesce(b.first_used_at, b.created_at)
           from mail_batches b
           join mail_batch_items i on i.batch_id = b.id and i.live
           join scheduled_deliveries d on d.id = i.delivery_id
          where b.settled_at is null
            and (b.state = 'ambiguous' or (b.state = 'sending' and b.lease_expires_at < clock_timestamp()))
          order by b.next_attempt_at limit p_limit)
        union all
        (select 'lapsed', j.id::text, format('%s held it, attempt %s, step %s', j.holder, j.attempt, j.step),
                j.lease_expires_at
           from story_jobs j where j.state = 'running' and j.lease_expires_at < clock_timestamp() limit p_limit)
        union all
        (select 'poison', j.id::text, format('%s of %s attempts: %s', j.attempt, j.max_attempts, left(j.error, 300)),
                j.created_at
           from ((select * from story_jobs where state = 'pending' order by ring_at desc limit 500)
                 union all
                 (select * from story_jobs
                   where state = 'failed' and finished_at > clock_timestamp() - interval '1 day'
                     and send_until > clock_timestamp()
                   order by finished_at desc limit 500)) j
          where j.attempt >= 3 and j.error is not null order by j.attempt desc limit p_limit)
        union all
        (select 'failing', e.error, e.n::text, e.at
           from (select left(error, 300) as error, count(*) as n, max(at) as at from (
                   (select error, finished_at as at from story_jobs
                     where state = 'failed' and finished_at > clock_timestamp() - interval '1 day'
                     order by finished_at desc limit 500)
                   union all
                   (select error, started_at from story_jobs where state = 'pending' order by ring_at desc limit 500)) j
                  where error is not null group by 1 order by 2 desc limit p_limit) e)
        union all
        (select 'orphan', j.id::text, 'its subscriber ' || j.user_id || ' is not there', j.created_at
           from (select * from story_jobs where state = 'pending' order by ring_at limit 200) j
          where not exists (select from users u where u.id = j.user_id) limit p_limit)
        union all
        (select 'time', u.id::text, u.email || ': ' || u.delivery_time, u.updated_at from users u
          where u.delivery_time !~ '^\s*([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\s*$' limit p_limit)) w);
end
$$;
