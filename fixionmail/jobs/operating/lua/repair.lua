-- Make Redis agree with itself about each id: a job, an execution (job:execution) or a worker, whatever it is.
-- requeued, removed, put back, kept; sound: there was nothing to mend; running: it counts as queued or ended, and
-- somebody vouches for a run of it; undecided: nothing says when it is due; later: not looked at, as the lists are long and others came
-- before it.
local COMPARED = 150000 -- entries of lists, in one call, if more than one id is looked at
local limits = try('SMEMBERS', prefix .. ':rl-keys') or {}
local queues, entries = {}, 0
for _, key in ipairs(try('SMEMBERS', prefix .. ':queues') or {}) do
  queues[#queues + 1] = string.sub(key, #prefix + #':queue:' + 1)
  entries = entries + (try('LLEN', key) or 0)
end

local function remove_runs(job_id, queue)
  local removed = 0
  for _, entry in ipairs(runs_by_job(queue)[job_id] or {}) do removed = removed + forget_run(entry, queue) end
  return removed
end

-- Forget the runs, on whatever queue, that nobody vouches for; how many there were.
local function leave_dead_runs(job_id)
  local left = 0
  for _, queue in ipairs(queues) do
    for _, entry in ipairs(runs_by_job(queue)[job_id] or {}) do
      if not is_vouched_for(entry, queue) then left = left + forget_run(entry, queue) end
    end
  end
  return left
end

-- Leave what limits hold back, but for the limit ``kept``; how many did.
local function leave_limits(job_id, kept)
  local left = 0
  for _, limit in ipairs(limits) do
    if limit ~= kept then left = left + (try('ZREM', held_back(limit), job_id) or 0) end
  end
  return left
end

local function remove_everywhere(job_id)
  local removed = leave_limits(job_id)
  for _, queue in ipairs(queues) do
    removed = removed + (try('LREM', list_of(queue), 0, job_id) or 0) + (try('LREM', limbo_of(queue), 0, job_id) or 0)
    for _, registry in ipairs(REGISTRIES) do
      removed = removed + (try('ZREM', key_of(registry, queue), job_id) or 0)
    end
    removed = removed + remove_runs(job_id, queue)
  end
  redis.call('DEL', key_of('executions', job_id))
  return removed
end

-- Leave every registry but ``kept`` of ``origin``, every limit but ``limit``, and dead runs; how many were left.
local function leave_others(job_id, origin, kept, limit)
  local left = leave_limits(job_id, limit) + leave_dead_runs(job_id)
  for _, queue in ipairs(queues) do
    for _, registry in ipairs(REGISTRIES) do
      if not (queue == origin and registry == kept) then
        left = left + (try('ZREM', key_of(registry, queue), job_id) or 0)
      end
    end
    left = left + (try('LREM', limbo_of(queue), 0, job_id) or 0)
    if queue ~= origin or kept then left = left + (try('LREM', list_of(queue), 0, job_id) or 0) end
  end
  return left
end

-- Of a job that is where it belongs. A run that somebody vouches for is left to end.
local function word_of(left, job_id, queue)
  if left > 0 then return 'kept' end
  return is_running(job_id, queue) and 'running' or 'sound'
end

local function mend_queued(job_id, queue, worker)
  local left = leave_others(job_id, queue, nil)
  local places = try('LPOS', list_of(queue), job_id, 'COUNT', 0) or {}
  if #places == 0 then
    push(job_id, queue, worker)
    return 'requeued'
  end
  if #places > 1 then try('LREM', list_of(queue), 1 - #places, job_id) end
  return word_of(left + #places - 1, job_id, queue)
end

local function mend_held_back(job_id, queue, worker, limit, most)
  local there = limit and try('ZSCORE', held_back(limit), job_id)
  local left = leave_others(job_id, queue, 'rate_limited', limit)
  if there then return word_of(left, job_id, queue) end
  push(job_id, queue, worker, limit, most)
  return 'requeued'
end

-- What waits for a dependency no longer, and is queued at the next upkeep while RQ 3's registry holds it.
local function mend_ready(job_id, queue, worker, limit, most)
  local left = leave_others(job_id, queue, 'ready')
  if try('ZSCORE', key_of('ready', queue), job_id) then return word_of(left, job_id, queue) end
  push(job_id, queue, worker, limit, most)
  return 'requeued'
end

local function mend_ended(job_id, registry, queue)
  local there = try('ZSCORE', key_of(registry, queue), job_id)
  if not there and (registry == 'scheduled' or registry == 'deferred') then return 'undecided' end
  local left = leave_others(job_id, queue, registry)
  if there then return word_of(left, job_id, queue) end
  local ttl = redis.call('TTL', key_of('job', job_id))
  redis.call('ZADD', key_of(registry, queue), ttl > 0 and now + ttl or now + 31536000, job_id)
  return 'put back'
end

local function mend_job(job_id)
  local record = redis.pcall('HMGET', key_of('job', job_id), 'status', 'origin', 'worker_name', 'rate_limit_key',
                            'rate_limit_concurrency')
  if record.err or not record[1] then
    return remove_everywhere(job_id) > 0 and 'removed' or 'sound'
  end
  local status, queue, worker = record[1], record[2], record[3]
  if not queue or queue == '' then return 'undecided' end
  if status == 'queued' then return mend_queued(job_id, queue, worker) end
  if status == 'started' then
    if is_running(job_id, queue) then return leave_others(job_id, queue, 'wip') > 0 and 'kept' or 'sound' end
    forget_running(job_id, queue, worker)
    leave_others(job_id, queue, nil)
    try('LREM', list_of(queue), 0, job_id)
    push(job_id, queue, worker)
    return 'requeued'
  end
  if status == 'rate_limited' then return mend_held_back(job_id, queue, worker, record[4], record[5]) end
  if status == 'ready_to_enqueue' then return mend_ready(job_id, queue, worker, record[4], record[5]) end
  local registry = REGISTRY_OF[status]
  return registry and mend_ended(job_id, registry, queue) or 'undecided'
end

-- An execution that no lease and no record stands behind, or an id like one's without a record.
local function mend_execution(member)
  local origin = try('HGET', key_of('job', string.match(member, '^(.*):[^:]*$')), 'origin')
  if origin and try('ZSCORE', key_of('wip', origin), member) then return 'sound' end
  local removed = redis.call('DEL', key_of('execution', member))
  for _, worker in ipairs(try('SMEMBERS', prefix .. ':workers') or {}) do
    removed = removed + (try('SREM', worker .. ':executions', member) or 0)
  end
  return removed + remove_everywhere(member) > 0 and 'removed' or 'sound'
end

local function mend_worker(name)
  local key = key_of('worker', name)
  if redis.call('EXISTS', key) == 1 then return 'sound' end
  for _, queue in ipairs(queues) do try('SREM', prefix .. ':workers:' .. queue, key) end
  return redis.call('SREM', prefix .. ':workers', key) > 0 and 'removed' or 'sound'
end

local outcomes = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  if i > 3 and entries * (i - 2) > COMPARED then
    outcomes[#outcomes + 1] = 'later'
  elseif try('SISMEMBER', prefix .. ':workers', key_of('worker', id)) == 1 then
    outcomes[#outcomes + 1] = mend_worker(id)
  elseif string.find(id, ':', 1, true) and redis.call('EXISTS', key_of('job', id)) == 0 then
    outcomes[#outcomes + 1] = mend_execution(id)
  else
    outcomes[#outcomes + 1] = mend_job(id)
  end
end
return outcomes
