-- Record how executions ended and give up their leases; safe to send again after a lost reply.
-- ARGV: prefix, worker, default result ttl, then per execution the ten values that item_at() reads.
-- Returns one answer per execution:
--   done
--   retried          done, and the job waits to be run again
--   dependents       done, and other jobs wait for this one
--   lost             the lease had passed on or the job was taken away: nothing was written
--   poison <reason>  its records are damaged: filed as failed as far as they allow
--   error <reason>   it is still held: try again
local prefix, worker, default_result_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local FIELDS = 10
local DEFAULT_FAILURE_TTL = 31536000
local worker_key = prefix .. ':worker:' .. worker
local working_time, succeeded, failed, stats = 0, 0, 0, {}
local given_up = {} -- queue -> members of its leases that are over

local function item_at(i)
  return {queue = ARGV[i], job = ARGV[i + 1], execution = ARGV[i + 2], ending = ARGV[i + 3], value = ARGV[i + 4],
          error = ARGV[i + 5], began = ARGV[i + 6], ended = ARGV[i + 7], ended_text = ARGV[i + 8],
          wait = tonumber(ARGV[i + 9]), key = prefix .. ':job:' .. ARGV[i + 1],
          member = ARGV[i + 1] .. ':' .. ARGV[i + 2]}
end

local function job_of(item)
  local found = redis.call('HMGET', item.key, 'status', 'worker_name', 'ended_at', 'result_ttl', 'failure_ttl',
                           'retries_left', 'retry_intervals', 'enqueue_at_front_on_retry', 'ttl', 'dependency_ids')
  return {status = found[1], owner = found[2], ended_at = found[3], result_ttl = tonumber(found[4] or nil),
          failure_ttl = tonumber(found[5] or nil), retries = tonumber(found[6] or nil) or 0,
          intervals = found[7], at_front = found[8] == '1', ttl = tonumber(found[9] or nil), depends = found[10]}
end

local function tally(item, field)
  local sums = stats[item.queue] or {}
  stats[item.queue] = sums
  local run = tonumber(item.ended) - tonumber(item.began)
  sums[field] = (sums[field] or 0) + 1
  sums.wait_ms = (sums.wait_ms or 0) + item.wait
  sums.run_ms = (sums.run_ms or 0) + math.floor(run * 1000 + 0.5)
  if item.ending == 'abandoned' then return end
  working_time = working_time + run
  if field == 'finished' then succeeded = succeeded + 1 else failed = failed + 1 end
end

local function set_status(item, status)
  redis.call('HSET', item.key, 'status', status, 'ended_at', item.ended_text, 'last_heartbeat', item.ended_text)
end

local function add_result(item, job, kind, ttl)
  local key = prefix .. ':results:' .. item.job
  local entry = {'execution_id', item.execution, 'execution_started_at', item.began, 'execution_ended_at', item.ended}
  if item.error ~= '' then entry[7], entry[8] = 'exc_string', item.error end
  if item.value ~= '' then entry[7], entry[8] = 'return_value', item.value end -- an end has one of the two
  redis.call('XADD', key, 'MAXLEN', '~', '10', '*', 'type', kind, 'worker_name', job.owner, unpack(entry))
  if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
end

-- rq's Job.cleanup(): the job lives as long as its result. Tells whether other jobs wait for it.
local function expire_job(item, job, ttl)
  local dependents = item.key .. ':dependents'
  if ttl > 0 then
    redis.call('EXPIRE', item.key, ttl)
    if job.depends then redis.call('EXPIRE', prefix .. ':job::' .. item.job .. ':dependencies', ttl) end
    return redis.call('EXPIRE', dependents, ttl) == 1 -- 1: the key exists
  end
  if ttl == 0 then
    redis.call('DEL', item.key, prefix .. ':job::' .. item.job .. ':dependencies', prefix .. ':results:' .. item.job)
  end
  return redis.call('EXISTS', dependents) == 1
end

local function close(item, job, status, kind, ttl, registry, score)
  if ttl ~= 0 then
    set_status(item, status)
    add_result(item, job, kind, ttl)
    redis.call('ZADD', prefix .. ':' .. registry .. ':' .. item.queue, score, item.job)
  end
  return expire_job(item, job, ttl) and 'dependents' or 'done'
end

local function finish(item, job)
  local ttl = job.result_ttl or default_result_ttl
  local answer = close(item, job, 'finished', '1', ttl, 'finished', ttl < 0 and '+inf' or seconds + ttl)
  tally(item, 'finished')
  return answer
end

local function bury(item, job, status)
  local ttl = job.failure_ttl or DEFAULT_FAILURE_TTL
  local answer = close(item, job, status, '2', ttl, 'failed', ttl < 0 and ttl or seconds + ttl)
  tally(item, 'failed')
  return answer
end

-- rq's Job.retry(): at once, or through the scheduled registry when an interval is set.
local function retry(item, job)
  local intervals = job.intervals and cjson.decode(job.intervals) or {}
  local interval = tonumber(intervals[math.max(#intervals - job.retries, 0) + 1]) or 0
  redis.call('HSET', item.key, 'retries_left', job.retries - 1)
  if interval > 0 then
    set_status(item, 'scheduled')
    redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. item.queue)
    redis.call('ZADD', prefix .. ':scheduled:' .. item.queue, seconds + interval, item.job)
  else
    set_status(item, 'queued')
    redis.call('HSET', item.key, 'enqueued_at', now_text)
    if job.ttl then redis.call('EXPIRE', item.key, job.ttl) end
    redis.call(job.at_front and 'LPUSH' or 'RPUSH', prefix .. ':queue:' .. item.queue, item.job)
  end
  tally(item, 'retried')
  return 'retried'
end

local function fail(item, job)
  if job.retries > 0 then return retry(item, job) end
  return bury(item, job, 'failed')
end

local function hand_back(item, job)
  redis.call('HSET', item.key, 'status', 'queued', 'started_at', '', 'worker_name', '')
  if job.ttl then redis.call('EXPIRE', item.key, job.ttl) end
  redis.call('LPUSH', prefix .. ':queue:' .. item.queue, item.job)
  return 'done'
end

local ENDINGS = {finished = finish, failed = fail, abandoned = fail, returned = hand_back,
                 refused = function(item, job) return bury(item, job, 'failed') end,
                 stopped = function(item, job) return bury(item, job, 'stopped') end}

-- The lease itself is given up at the end of the script: until then an item can be repeated.
local function give_up_lease(item)
  redis.call('ZREM', prefix .. ':executions:' .. item.job, item.execution)
  local members = given_up[item.queue] or {}
  given_up[item.queue] = members
  members[#members + 1] = item.member
end

local function remove_leases(queue, members)
  local records = {}
  for i, member in ipairs(members) do records[i] = prefix .. ':execution:' .. member end
  redis.call('DEL', unpack(records))
  redis.call('SREM', worker_key .. ':executions', unpack(members))
  redis.call('ZREM', prefix .. ':wip:' .. queue, unpack(members))
end

-- A job that lapsed here may have been started again elsewhere.
local function runs_elsewhere(item)
  for _, execution in ipairs(redis.call('ZRANGE', prefix .. ':executions:' .. item.job, 0, -1)) do
    local lease_end = redis.call('ZSCORE', prefix .. ':wip:' .. item.queue, item.job .. ':' .. execution)
    if lease_end and tonumber(lease_end) > now then return true end
  end
  return false
end

local function settle(item)
  local lease_end = tonumber(redis.call('ZSCORE', prefix .. ':wip:' .. item.queue, item.member) or nil)
  local job = job_of(item)
  local answer = 'lost'
  if item.ending == 'abandoned' then
    if not lease_end or lease_end > now then return answer end
    if job.status == 'started' and not runs_elsewhere(item) then answer = fail(item, job) end
    if job.owner then redis.call('SREM', prefix .. ':worker:' .. job.owner .. ':executions', item.member) end
    give_up_lease(item)
    return answer
  end
  if not lease_end then
    if job.owner == worker and job.ended_at == item.ended_text then answer = 'done' end -- the first reply was lost
  elseif job.status == 'started' and job.owner == worker then
    answer = ENDINGS[item.ending](item, job)
  end
  give_up_lease(item)
  return answer
end

-- Each step for itself: whichever record is damaged, the others are still brought in order.
local function set_aside(item)
  redis.pcall('HSET', item.key, 'status', 'failed', 'ended_at', item.ended_text)
  redis.pcall('ZADD', prefix .. ':failed:' .. item.queue, seconds + DEFAULT_FAILURE_TTL, item.job)
  redis.pcall('DEL', prefix .. ':execution:' .. item.member)
  redis.pcall('ZREM', prefix .. ':executions:' .. item.job, item.execution)
  redis.pcall('SREM', worker_key .. ':executions', item.member)
  redis.pcall('ZREM', prefix .. ':wip:' .. item.queue, item.member)
end

local function answer_for(item)
  local ok, answer = pcall(settle, item)
  if ok then return answer end
  local text = error_text(answer)
  if is_passing(text) then return 'error ' .. text end
  set_aside(item)
  return 'poison ' .. text
end

local answers = {}
for i = 4, #ARGV, FIELDS do answers[#answers + 1] = answer_for(item_at(i)) end
for queue, members in pairs(given_up) do remove_leases(queue, members) end

for queue, sums in pairs(stats) do
  for field, amount in pairs(sums) do count(queue, field, amount) end
end
if redis.call('HEXISTS', worker_key, 'birth') == 1 then
  if succeeded > 0 then redis.call('HINCRBY', worker_key, 'successful_job_count', succeeded) end
  if failed > 0 then redis.call('HINCRBY', worker_key, 'failed_job_count', failed) end
  if working_time > 0 then redis.call('HINCRBYFLOAT', worker_key, 'total_working_time', working_time) end
  if redis.call('EXISTS', worker_key .. ':executions') == 0 then redis.call('HSET', worker_key, 'state', 'idle') end
end
return answers
