-- Queue many jobs in one call, writing for each what rq's Queue.enqueue writes.
-- ARGV: prefix, queue, 'back' or 'front', then per job the seven values read in the loop.
-- Returns one number per job: 1 it was pushed, 0 it was already waiting or running.
local prefix, queue, side = ARGV[1], ARGV[2], ARGV[3]
local FIELDS = 7 -- id, data, description, timeout, result ttl, failure ttl, retries
local LISTED_LIMIT = 10000 -- a longer list is taken to hold every job whose record says 'queued'
local list = prefix .. ':queue:' .. queue
local REGISTRY = {finished = ':finished:', failed = ':failed:', stopped = ':failed:', canceled = ':canceled:',
                  scheduled = ':scheduled:', deferred = ':deferred:'}
local listed -- ids in the list, read when the first record says 'queued'

local function is_listed(job_id)
  if not listed then
    listed = {}
    if redis.call('LLEN', list) > LISTED_LIMIT then
      setmetatable(listed, {__index = function() return true end})
    else
      for _, id in ipairs(redis.call('LRANGE', list, 0, -1)) do listed[id] = true end
    end
  end
  return listed[job_id]
end

-- Tells whether an execution holds a live lease; lapsed ones are cleared away.
local function is_running(job_id, origin, owner)
  local job_executions = prefix .. ':executions:' .. job_id
  local leases = prefix .. ':wip:' .. origin
  for _, execution in ipairs(redis.call('ZRANGE', job_executions, 0, -1)) do
    local member = job_id .. ':' .. execution
    if (tonumber(redis.call('ZSCORE', leases, member) or nil) or 0) > now then return true end
    redis.call('ZREM', leases, member)
    redis.call('DEL', prefix .. ':execution:' .. member)
    redis.call('SREM', prefix .. ':worker:' .. owner .. ':executions', member)
  end
  redis.call('DEL', job_executions)
  return false
end

local function is_under_way(job_id)
  local job = redis.call('HMGET', prefix .. ':job:' .. job_id, 'status', 'origin', 'worker_name')
  local status, origin = job[1], job[2] or queue
  if not status then return false end
  if status == 'queued' then
    if origin == queue and is_listed(job_id) then return true end
    redis.call('LREM', list .. ':intermediate', 0, job_id) -- lost there by a worker of rq's
    return false
  end
  if status == 'started' then return is_running(job_id, origin, job[3] or '') end
  if REGISTRY[status] then redis.call('ZREM', prefix .. REGISTRY[status] .. origin, job_id) end
  return false
end

local function write(job_id, i)
  local record = {'created_at', now_text, 'data', ARGV[i + 1], 'success_callback_name', '',
                  'failure_callback_name', '', 'stopped_callback_name', '', 'started_at', '', 'ended_at', '',
                  'last_heartbeat', '', 'worker_name', '', 'group_id', '', 'origin', queue,
                  'description', ARGV[i + 2], 'enqueued_at', now_text, 'timeout', ARGV[i + 3],
                  'result_ttl', ARGV[i + 4], 'failure_ttl', ARGV[i + 5], 'status', 'queued'}
  if ARGV[i + 6] ~= '0' then
    for _, part in ipairs({'retries_left', ARGV[i + 6], 'retry_intervals', '[0]'}) do record[#record + 1] = part end
  end
  redis.call('DEL', prefix .. ':job:' .. job_id)
  redis.call('HSET', prefix .. ':job:' .. job_id, unpack(record))
end

local pushed, ids, batch = {}, {}, {}
redis.call('SADD', prefix .. ':queues', list)
for i = 4, #ARGV, FIELDS do
  local job_id = ARGV[i]
  if batch[job_id] or is_under_way(job_id) then
    pushed[#pushed + 1] = 0
  else
    write(job_id, i)
    batch[job_id] = true
    ids[#ids + 1] = job_id
    pushed[#pushed + 1] = 1
  end
end
if #ids > 0 then
  redis.call(side == 'front' and 'LPUSH' or 'RPUSH', list, unpack(ids))
  count(queue, 'enqueued', #ids)
end
return pushed
