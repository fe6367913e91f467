-- Take waiting jobs and start them in one step: at no moment is a job in neither the list nor a lease.
-- ARGV: prefix, worker, lease seconds, execution id base (24 hex), jobs wanted, then (queue, limit) per step.
-- Returns: now, state, emptied queues, paused queues, reports on bad records, started jobs.
local prefix, worker, lease, base = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local wanted = tonumber(ARGV[5])
local worker_key = prefix .. ':worker:' .. worker
local executions_key = worker_key .. ':executions'
local FIELDS = {'status', 'data', 'timeout', 'enqueued_at', 'ttl', 'success_callback_name', 'failure_callback_name',
                'stopped_callback_name', 'webhooks', 'repeats_left', 'rate_limit_key'}
local SCAN_LIMIT = 1000 -- ids looked at per step, so that a list of dead ids cannot hold up the server
local lease_end = string.format('%d', now + lease)
local emptied, paused, reports, started = {}, {}, {}, {}
local members = {} -- of the leases that the current step hands out

local function answer(state)
  return {now_value, state, emptied, paused, reports, started}
end

local record = redis.call('HMGET', worker_key, 'birth', 'fm_drain', 'state')
if not record[1] then return answer('unregistered') end
if record[2] then return answer('draining') end
if redis.call('EXISTS', prefix .. ':suspended') == 1 then
  if redis.call('EXISTS', executions_key) == 0 then redis.call('HSET', worker_key, 'state', 'suspended') end
  return answer('suspended')
end

local function start(queue, job_id, fields)
  local execution = base .. string.format('%08x', #started)
  local member = job_id .. ':' .. execution
  local execution_key = prefix .. ':execution:' .. member
  redis.call('HSET', execution_key, 'id', execution, 'job_id', job_id, 'created_at', now_value,
             'last_heartbeat', now_value, 'worker_name', worker)
  redis.call('EXPIRE', execution_key, lease)
  local job_executions = prefix .. ':executions:' .. job_id
  redis.call('ZADD', job_executions, now + lease + 60, execution)
  redis.call('EXPIRE', job_executions, lease + 60)
  local job_key = prefix .. ':job:' .. job_id
  redis.call('HSET', job_key, 'status', 'started', 'started_at', now_text, 'last_heartbeat', now_text,
             'worker_name', worker)
  if fields[5] then redis.call('PERSIST', job_key) end
  members[#members + 1] = member
  started[#started + 1] = {queue, job_id, execution, now_value, unpack(fields, 2)}
end

-- An id whose job is gone, cancelled or already running elsewhere is simply dropped.
local function start_if_queued(queue, job_id)
  local fields = redis.call('HMGET', prefix .. ':job:' .. job_id, unpack(FIELDS))
  if fields[1] == 'queued' then start(queue, job_id, fields) end
end

-- A bad record is set aside with a report; an error that may pass stops the script.
local function report(problem, subject)
  local text = error_text(problem)
  if is_passing(text) then error(problem, 0) end
  reports[#reports + 1] = subject .. ': ' .. text
end

local function hand_out_leases(queue)
  if #members == 0 then return end
  local scored = {}
  for _, member in ipairs(members) do
    scored[#scored + 1] = lease_end
    scored[#scored + 1] = member
  end
  redis.call('ZADD', prefix .. ':wip:' .. queue, unpack(scored))
  redis.call('SADD', executions_key, unpack(members))
  count(queue, 'started', #members)
end

local function serve(queue, limit)
  local list = prefix .. ':queue:' .. queue
  local first, seen, exhausted = #started, 0, false
  members = {}
  while #started - first < limit and seen < SCAN_LIMIT and not exhausted do
    local asked = limit - (#started - first)
    local ids = redis.call('LRANGE', list, seen, seen + asked - 1)
    for _, job_id in ipairs(ids) do
      local ok, problem = pcall(start_if_queued, queue, job_id)
      if not ok then report(problem, 'job ' .. job_id .. ' was dropped') end
    end
    seen = seen + #ids
    exhausted = #ids < asked
  end
  hand_out_leases(queue)
  if seen > 0 then redis.call('LPOP', list, seen) end -- last: when memory is short LPOP works and HSET does not
  if exhausted then emptied[#emptied + 1] = queue end
end

for i = 6, #ARGV, 2 do
  local queue, limit = ARGV[i], math.min(tonumber(ARGV[i + 1]), wanted - #started)
  if redis.call('HEXISTS', 'fm:paused', queue) == 1 then
    paused[#paused + 1] = queue
  elseif limit > 0 then
    local ok, problem = pcall(serve, queue, limit)
    if not ok then
      report(problem, 'queue ' .. queue .. ' cannot be read')
      emptied[#emptied + 1] = queue
    end
  end
end

if #started > 0 then
  redis.call('EXPIRE', executions_key, lease + 60)
  if record[3] ~= 'busy' then redis.call('HSET', worker_key, 'state', 'busy') end
elseif record[3] ~= 'busy' and record[3] ~= 'idle' then
  redis.call('HSET', worker_key, 'state', 'idle')
end
return answer('ready')
