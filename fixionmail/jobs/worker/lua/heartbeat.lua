-- Extend the leases of running executions and the life of the worker's record.
-- ARGV: prefix, worker, lease seconds, worker ttl, queues (comma separated), then (queue, job, execution) each.
-- Returns: state, executions Redis counts for this worker, queues with lapsed leases, executions whose lease is lost.
local prefix, worker, lease, worker_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local worker_key = prefix .. ':worker:' .. worker
local executions_key = worker_key .. ':executions'
local state, lapsed, lost = 'ready', {}, {}

local function extend(queue, job_id, execution)
  local member = job_id .. ':' .. execution
  local leases = prefix .. ':wip:' .. queue
  if not redis.call('ZSCORE', leases, member) then
    lost[#lost + 1] = execution
    return
  end
  redis.call('ZADD', leases, 'XX', math.floor(now + lease), member)
  local execution_key = prefix .. ':execution:' .. member
  redis.call('HSET', execution_key, 'id', execution, 'job_id', job_id, 'last_heartbeat', now_value,
             'worker_name', worker)
  redis.call('HSETNX', execution_key, 'created_at', now_value)
  redis.call('EXPIRE', execution_key, lease)
  local job_executions = prefix .. ':executions:' .. job_id
  redis.call('ZADD', job_executions, now + lease + 60, execution)
  redis.call('EXPIRE', job_executions, lease + 60)
  redis.call('SADD', executions_key, member)
  local job_key = prefix .. ':job:' .. job_id
  if redis.call('EXISTS', job_key) == 1 then redis.call('HSET', job_key, 'last_heartbeat', now_text) end
end

local record = redis.call('HMGET', worker_key, 'birth', 'fm_drain')
if record[2] then state = 'draining' end
if not record[1] then
  state = 'unregistered'
else
  redis.call('HSET', worker_key, 'last_heartbeat', now_text)
  redis.call('EXPIRE', worker_key, worker_ttl + 60)
end
for i = 6, #ARGV, 3 do extend(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
redis.call('EXPIRE', executions_key, math.max(lease, worker_ttl) + 60)
for queue in string.gmatch(ARGV[5], '[^,]+') do
  if redis.call('ZCOUNT', prefix .. ':wip:' .. queue, '-inf', now) > 0 then lapsed[#lapsed + 1] = queue end
end
return {state, redis.call('SCARD', executions_key), lapsed, lost}
