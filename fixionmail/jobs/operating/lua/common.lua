-- Put before every script. ARGV[1] is the prefix of RQ's keys, ARGV[2] the moment in RQ's text form; then come pairs
-- of a job's id and the version it was seen in. Returns one word for each: see each script.
local prefix, now_text = ARGV[1], ARGV[2]
local now = tonumber(redis.call('TIME')[1])
local REGISTRIES = {'failed', 'finished', 'deferred', 'ready', 'scheduled', 'canceled'}
local REGISTRY_OF = {failed = 'failed', stopped = 'failed', finished = 'finished', deferred = 'deferred',
                     scheduled = 'scheduled', canceled = 'canceled'} -- by status, where it alone says where a job is

local function key_of(kind, name) return prefix .. ':' .. kind .. ':' .. name end
local function list_of(queue) return key_of('queue', queue) end
local function limbo_of(queue) return list_of(queue) .. ':intermediate' end

-- A key of the wrong type counts as empty.
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return nil end
  return answer or nil
end

-- Entries of a job among the running ones of its queue: RQ 3 writes job:execution into wip, RQ 2 the id, older ones too.
local function executions_of(job_id)
  local entries = {}
  for _, execution in ipairs(try('ZRANGE', key_of('executions', job_id), 0, -1) or {}) do
    entries[#entries + 1] = job_id .. ':' .. string.match(execution, '([^:]*)$')
  end
  return entries
end

-- Whether somebody vouches for a run of this job right now.
local function is_running(job_id, queue)
  local entries = executions_of(job_id)
  entries[#entries + 1] = job_id
  for _, entry in ipairs(entries) do
    local lease = tonumber(try('ZSCORE', key_of('wip', queue), entry) or nil)
    if lease and (lease > now or lease < 0) then return true end
  end
  return false
end

local function forget_running(job_id, queue, worker)
  local entries = executions_of(job_id)
  for _, entry in ipairs(entries) do
    redis.call('DEL', key_of('execution', entry))
    if worker then try('SREM', key_of('worker', worker) .. ':executions', entry) end
  end
  if #entries > 0 then redis.call('DEL', key_of('executions', job_id)) end
  try('ZREM', key_of('wip', queue), job_id, unpack(entries))
end

local function leave_registries(job_id, queue)
  for _, registry in ipairs(REGISTRIES) do try('ZREM', key_of(registry, queue), job_id) end
end

local function leave_lists(job_id, queue)
  try('LREM', list_of(queue), 0, job_id)
  try('LREM', limbo_of(queue), 0, job_id)
end

local function push(job_id, queue, worker)
  leave_registries(job_id, queue)
  try('LREM', limbo_of(queue), 0, job_id)
  forget_running(job_id, queue, worker)
  local key = key_of('job', job_id)
  redis.call('HDEL', key, 'exc_info')
  redis.call('HSET', key, 'status', 'queued', 'origin', queue, 'enqueued_at', now_text, 'started_at', '',
             'ended_at', '', 'last_heartbeat', '', 'worker_name', '')
  local ttl = tonumber(redis.call('HGET', key, 'ttl') or nil)
  if ttl and ttl > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
  redis.call('SADD', prefix .. ':queues', list_of(queue))
  redis.call('RPUSH', list_of(queue), job_id)
end

-- A job's status and when it came into it: one that failed, was requeued and failed again is not as it was seen.
local function version_of(status, enqueued_at, ended_at)
  return status .. '|' .. (enqueued_at or '') .. '|' .. (ended_at or '')
end

-- Call ``act(job_id, status, queue, worker)`` for each job that is as it was seen; a broken record ends nothing.
local function each_as_seen(act)
  local outcomes = {}
  for i = 3, #ARGV, 2 do
    local job_id, seen = ARGV[i], ARGV[i + 1]
    local record = redis.pcall('HMGET', key_of('job', job_id), 'status', 'origin', 'worker_name', 'enqueued_at',
                              'ended_at')
    if record.err then
      outcomes[#outcomes + 1] = 'broken'
    elseif not record[1] then
      outcomes[#outcomes + 1] = 'gone'
    elseif version_of(record[1], record[4], record[5]) ~= seen then
      outcomes[#outcomes + 1] = 'moved on'
    elseif not record[2] or record[2] == '' then
      outcomes[#outcomes + 1] = 'broken'
    else
      outcomes[#outcomes + 1] = act(job_id, record[1], record[2], record[3])
    end
  end
  return outcomes
end
