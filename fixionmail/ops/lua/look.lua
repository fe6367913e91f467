-- Everything of Redis at one look.
-- ARGV: prefix, limit of executions, names of queues that are shown even before their first job.
-- Returns: now, facts of the server, keys, suspended, sampled keys, queues, workers, broken keys.
local EXECUTIONS = tonumber(ARGV[2])
local MEMBERS_LIMIT = 5000 -- of one set that is read as a whole
local QUEUES_LIMIT, WORKERS_LIMIT = 500, 1000
local HELD = 10 -- entries looked at for the oldest one, and of those whose lease has lapsed
local LIMBO_SEEN = 200
local MINUTES, ALL_MINUTES = 60, 600 -- of one queue, and of all together
local FACTS = {}
for name in string.gmatch([[redis_version valkey_version server_name redis_mode role used_memory maxmemory
    maxmemory_policy connected_clients instantaneous_ops_per_sec uptime_in_seconds aof_enabled rdb_saves loading
    rdb_bgsave_in_progress rdb_changes_since_last_save upstash_version dragonfly_version keydb_version]],
    '%S+') do FACTS[name] = true end

local function members(key)
  if size('SCARD', key) > MEMBERS_LIMIT then
    local found = ask('SSCAN', key, '0', 'COUNT', MEMBERS_LIMIT)
    return found and found[2] or {}
  end
  return ask('SMEMBERS', key) or {}
end

local function facts()
  local text, found = redis.pcall('INFO'), {}
  if type(text) ~= 'string' then return found end
  for name, value in string.gmatch(text, '([%w_]+):([^\r\n]*)') do
    if FACTS[name] then
      found[#found + 1] = name
      found[#found + 1] = value
    end
  end
  return found
end

-- Keys as they come, which tell whose server it is when RQ has no queues here.
local function sample()
  local keys = {}
  for i = 1, 8 do keys[i] = redis.pcall('RANDOMKEY') end
  for i = #keys, 1, -1 do
    if type(keys[i]) ~= 'string' then table.remove(keys, i) end
  end
  return keys
end

-- ---- workers ----------------------------------------------------------------------------------------------------

local function split(member) -- of a lease: its job and its execution; a bare id from before rq 1.16
  local job_id, execution = string.match(member, '^(.*):([^:]*)$')
  return job_id or member, execution
end

local function execution_of(member)
  local job_id = split(member)
  local job = fields_of(prefix .. ':job:' .. job_id, 'origin', 'description', 'started_at', 'timeout') or {}
  local lease = job[1] and ask('ZSCORE', prefix .. ':wip:' .. job[1], member)
  return {job_id, job[1] or false, job[2] or false, job[3] or false, job[4] or false, lease or false}
end

-- rq 2 names only the job; its execution is the last in the job's own registry.
local function member_of(job_id)
  local executions = ask('ZREVRANGE', prefix .. ':executions:' .. job_id, 0, 0)
  return executions and executions[1] and job_id .. ':' .. executions[1] or job_id
end

local function executions_of(key, current, share)
  local held = members(key .. ':executions')
  if #held == 0 and current then held = {member_of(current)} end
  table.sort(held)
  local shown = {}
  for i = 1, math.min(#held, share) do shown[i] = execution_of(held[i]) end
  return #held, shown
end

local function worker_of(key, share)
  local record = fields_of(key, 'hostname', 'pid', 'state', 'queues', 'birth', 'last_heartbeat', 'version',
                           'python_version', 'successful_job_count', 'failed_job_count', 'fm_drain',
                           'shutdown_requested_date', 'current_job', 'fm_slots', 'fm_version')
  local held, shown = executions_of(key, record and record[13], share)
  return {key, size('PTTL', key), record or false, held, shown}
end

local workers = {}
local worker_keys = members(prefix .. ':workers')
table.sort(worker_keys)
local worker_count = math.min(#worker_keys, WORKERS_LIMIT)
for i = 1, worker_count do
  workers[i] = worker_of(worker_keys[i], math.max(5, math.floor(EXECUTIONS / worker_count)))
end

-- ---- queues -----------------------------------------------------------------------------------------------------

local names, known = {}, {}
local function add(name)
  if name and name ~= '' and not known[name] and #names < QUEUES_LIMIT then
    known[name] = true
    names[#names + 1] = name
  end
end
local queue_prefix = prefix .. ':queue:'
local foreign = 0
for _, key in ipairs(members(prefix .. ':queues')) do
  if string.sub(key, 1, #queue_prefix) == queue_prefix then
    add(string.sub(key, #queue_prefix + 1))
  else
    foreign = foreign + 1
  end
end
for i = 3, #ARGV do add(ARGV[i]) end
for _, worker in ipairs(workers) do
  for name in string.gmatch(worker[3] and worker[3][4] or '', '[^,]+') do add(name) end
end
for _, name in ipairs(ask('HKEYS', 'fm:paused') or {}) do add(name) end
table.sort(names)

local function first_known(ids, field)
  for _, id in ipairs(ids or {}) do
    local found = fields_of(prefix .. ':job:' .. id, field)
    if found and found[1] and found[1] ~= '' then return found[1] end
  end
  return false
end

-- How many jobs were taken off the queue and are not being started, and since when the first of them waits. A worker
-- of RQ's takes a lease at once, and the id out of this list only in the process that runs the job: if it dies in
-- between, the lease lapses.
local function limbo_of(key, leases)
  local count, first = size('LLEN', key), nil
  if count == 0 then return 0, false end
  for _, id in ipairs(ask('LRANGE', key, 0, LIMBO_SEEN - 1) or {}) do
    local lease = tonumber(ask('ZSCORE', leases, member_of(id)) or nil)
    if lease and lease > now then count = count - 1 else first = first or id end
  end
  local seen = first and ask('GET', key .. ':first_seen:' .. first)
  return count, cut(seen) or first_known({first}, 'enqueued_at')
end

-- The entries whose lease ends first: when each was started, its job, and the worker that holds it.
local function first_held(leases)
  local found = {}
  for _, member in ipairs(ask('ZRANGE', leases, 0, HELD - 1) or {}) do
    local job_id = split(member)
    local job = fields_of(prefix .. ':job:' .. job_id, 'started_at', 'worker_name')
    if job then found[#found + 1] = {job[1] or false, job_id, job[2] or false} end
  end
  return found
end

local minute = math.floor(now / 60)
local function minutes_of(queue, count)
  local keys, found = {}, {}
  for i = 1, count do keys[i] = 'fm:stats:' .. queue .. ':' .. (minute - count + i) end
  if size('EXISTS', unpack(keys)) == 0 then return found end -- nobody counts here, or nothing has happened
  for i, key in ipairs(keys) do
    local sums = fields_of(key, 'enqueued', 'started', 'finished', 'failed', 'wait_ms', 'run_ms')
    if sums then found[#found + 1] = {minute - count + i, unpack(sums)} end
  end
  return found
end

local held_back = held_by_queue()

local function queue_of(name)
  local list, leases = queue_prefix .. name, prefix .. ':wip:' .. name
  local limbo, limbo_since = limbo_of(list .. ':intermediate', leases)
  local head = ask('LRANGE', list, 0, HELD - 1) or {}
  local counts = {size('LLEN', list), size('ZCARD', leases), size('ZCOUNT', leases, '0', now_value),
                  limbo}
  for i, state in ipairs({'failed', 'finished', 'deferred', 'scheduled', 'canceled'}) do
    counts[4 + i] = size('ZCARD', prefix .. ':' .. state .. ':' .. name)
  end
  counts[10] = held_back[name] or 0
  counts[11] = size('ZCARD', prefix .. ':ready:' .. name)
  return {name, counts, head[1] or false, first_known(head, 'enqueued_at'),
          counts[2] > 0 and first_held(leases) or {}, limbo_since,
          cut(ask('HGET', 'fm:paused', name)),
          minutes_of(name, math.max(6, math.min(MINUTES, math.floor(ALL_MINUTES / #names))))}
end

local queues = {}
for i, name in ipairs(names) do queues[i] = queue_of(name) end

local is_empty = #names == 0 and #worker_keys == 0
return {now_value, facts(), size('DBSIZE'), size('EXISTS', prefix .. ':suspended'), is_empty and sample() or {},
        foreign, queues, workers, broken}
