-- Put before every script. ARGV[1] is the prefix of RQ's keys, ARGV[2] the moment in RQ's text form; then comes what the
-- last part of the script says.
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
-- What names them elsewhere outlives a dead worker by minutes only, so the registry itself is read, once in a call: those
-- whose lease ends first, dead ones therefore before all others.
local RUNS_READ = 2000
local runs_by_queue = {}

local function runs_by_job(queue)
  if runs_by_queue[queue] then return runs_by_queue[queue] end
  local runs = {}
  for _, entry in ipairs(try('ZRANGE', key_of('wip', queue), 0, RUNS_READ - 1) or {}) do
    for _, job_id in ipairs({entry, string.match(entry, '^(.*):[^:]*$')}) do
      runs[job_id] = runs[job_id] or {}
      table.insert(runs[job_id], entry)
    end
  end
  runs_by_queue[queue] = runs
  return runs
end

local function runs_of(job_id, queue)
  local entries, known = {}, {}
  local function add(entry)
    if not known[entry] then entries[#entries + 1], known[entry] = entry, true end
  end
  for _, entry in ipairs(runs_by_job(queue)[job_id] or {}) do add(entry) end
  for _, execution in ipairs(try('ZRANGE', key_of('executions', job_id), 0, -1) or {}) do
    add(job_id .. ':' .. string.match(execution, '([^:]*)$'))
  end
  return entries
end

local function is_vouched_for(entry, queue)
  local lease = tonumber(try('ZSCORE', key_of('wip', queue), entry) or nil)
  return lease ~= nil and (lease > now or lease < 0)
end

-- Whether somebody vouches for a run of this job right now.
local function is_running(job_id, queue)
  if is_vouched_for(job_id, queue) then return true end
  for _, entry in ipairs(runs_of(job_id, queue)) do
    if is_vouched_for(entry, queue) then return true end
  end
  return false
end

-- Forget one run, with what names it; 1 when it counted as running.
local function forget_run(entry, queue, worker)
  local holder = try('HGET', key_of('execution', entry), 'worker_name') or worker
  redis.call('DEL', key_of('execution', entry))
  if holder then try('SREM', key_of('worker', holder) .. ':executions', entry) end
  return try('ZREM', key_of('wip', queue), entry) or 0
end

local function forget_running(job_id, queue, worker)
  local entries = runs_of(job_id, queue)
  for _, entry in ipairs(entries) do forget_run(entry, queue, worker) end
  if #entries > 0 then redis.call('DEL', key_of('executions', job_id)) end
end

local function leave_registries(job_id, queue)
  for _, registry in ipairs(REGISTRIES) do try('ZREM', key_of(registry, queue), job_id) end
end

-- RQ 3's limits on how many jobs of one key are queued or run: the jobs let through, and those that wait.
local function let_through(limit) return key_of('rl', limit) .. ':allowed' end
local function held_back(limit) return key_of('rl', limit) .. ':rate_limited' end

-- Let through what there is room for, the oldest first, as RQ does.
local function fill(limit)
  local most = tonumber(try('HGET', key_of('rl', limit), 'concurrency') or nil) or 0
  while (try('ZCARD', let_through(limit)) or most) < most do
    local job_id = (try('ZPOPMIN', held_back(limit)) or {})[1]
    if not job_id then return end
    local record = try('HMGET', key_of('job', job_id), 'origin', 'status', 'enqueue_at_front') or {}
    if record[1] and record[2] == 'rate_limited' then
      redis.call('ZADD', let_through(limit), now, job_id)
      redis.call(record[3] == '1' and 'LPUSH' or 'RPUSH', list_of(record[1]), job_id)
      redis.call('HSET', key_of('job', job_id), 'status', 'queued', 'enqueued_at', now_text)
    end
  end
end

local function leave_limit(job_id, limit)
  if not limit or limit == '' then return end
  try('ZREM', held_back(limit), job_id)
  if try('ZREM', let_through(limit), job_id) == 1 then fill(limit) end
end

-- Queue a job under a limit: it waits until it is let through, at once where there is room.
local function push_within(job_id, limit, most)
  redis.call('HSET', key_of('job', job_id), 'status', 'rate_limited', 'enqueue_at_front', '0')
  redis.call('SADD', prefix .. ':rl-keys', limit)
  if most then redis.call('HSET', key_of('rl', limit), 'concurrency', most) end
  try('ZREM', let_through(limit), job_id)
  redis.call('ZADD', held_back(limit), now, job_id)
  fill(limit)
end

-- ``limit`` and ``most``: where RQ 3 limits jobs of its kind.
local function push(job_id, queue, worker, limit, most)
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
  if limit and limit ~= '' then
    push_within(job_id, limit, most)
  else
    redis.call('RPUSH', list_of(queue), job_id)
  end
end

-- A job's status and when it came into it: one that failed, was requeued and failed again is not as it was seen.
local function version_of(status, enqueued_at, ended_at)
  return status .. '|' .. (enqueued_at or '') .. '|' .. (ended_at or '')
end

-- Call ``act(job_id, job)`` if the job is as it was seen, and return its word; a broken record ends nothing.
local function as_seen(job_id, seen, act)
  local record = redis.pcall('HMGET', key_of('job', job_id), 'status', 'origin', 'worker_name', 'enqueued_at', 'ended_at',
                            'group_id', 'rate_limit_key', 'rate_limit_concurrency')
  if record.err then return 'broken' end
  if not record[1] then return 'gone' end
  if version_of(record[1], record[4], record[5]) ~= seen then return 'moved on' end
  if not record[2] or record[2] == '' then return 'broken' end
  return act(job_id, {status = record[1], queue = record[2], worker = record[3], group = record[6], limit = record[7],
                      most = record[8]})
end
