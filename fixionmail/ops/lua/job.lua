-- All that Redis knows of one job.
-- ARGV: prefix, id, then names of the record's fields.
-- Returns: whether there is a record, the fields, payload, its size, meta, error, milliseconds to live, results,
-- executions, dependents, places: (state, name, position or score, entries in all), and the limit of RQ 3's on jobs of
-- its kind: key, how many are let through at a time, how many are, of the first of these id, status and queue.
local job_id = ARGV[2]
local key = prefix .. ':job:' .. job_id
local PAYLOAD_LIMIT = 1048576 -- bytes of a field that are read at all
local RESULTS, DEPENDENTS, LET_THROUGH = 20, 100, 5
local SEARCHED = 100000 -- entries looked through from either end of a list
local LEASES = 10000 -- entries looked through for leases that no execution names
local function field(name)
  local length = size('HSTRLEN', key, name)
  return length > 0 and length <= PAYLOAD_LIMIT and ask('HGET', key, name) or false, length
end

local names = {}
for i = 3, #ARGV do names[#names + 1] = ARGV[i] end

local places = {}
local function note(state, queue, position, count)
  places[#places + 1] = {state, queue, tostring(position), count}
end

local function look_in_list(state, queue)
  local list = place_key(state, queue)
  local count = size('LLEN', list)
  if count == 0 then return end
  local found = ask('LPOS', list, job_id, 'COUNT', 2, 'MAXLEN', SEARCHED) or {}
  if #found == 0 and count > SEARCHED then
    found = ask('LPOS', list, job_id, 'RANK', -1, 'COUNT', 2, 'MAXLEN', SEARCHED) or {}
  end
  for _, position in ipairs(found) do note(state, queue, position + 1, count) end
end

local executions = {}
for _, execution in ipairs(ask('ZRANGE', prefix .. ':executions:' .. job_id, 0, -1) or {}) do
  local record = fields_of(prefix .. ':execution:' .. job_id .. ':' .. execution, 'worker_name', 'created_at',
                           'last_heartbeat')
  executions[#executions + 1] = {execution, unpack(record or {false, false, false})}
end

local function look_in_registries(queue)
  for state, registry in pairs(REGISTRIES) do
    local registry_key = prefix .. ':' .. registry .. ':' .. queue
    local score = ask('ZSCORE', registry_key, job_id)
    if score then note(state, queue, score, size('ZCARD', registry_key)) end
  end
end

-- Leases of the job's executions, and those that were left when the executions were forgotten.
local leases_of_job = string.gsub(job_id, '[*?%[\\]', '\\%0') .. ':*'
local function look_for_leases(queue)
  local leases, seen = prefix .. ':wip:' .. queue, {}
  local function lease(entry, score)
    if score and not seen[entry] then note('started', queue, score, size('ZCARD', leases)) end
    seen[entry] = true
  end
  for _, execution in ipairs(executions) do
    local entry = job_id .. ':' .. execution[1]
    lease(entry, ask('ZSCORE', leases, entry))
  end
  local found = (ask('ZSCAN', leases, 0, 'MATCH', leases_of_job, 'COUNT', LEASES) or {})[2] or {}
  for i = 1, #found, 2 do
    if job_of('started', found[i]) == job_id then lease(found[i], found[i + 1]) end
  end
end

local queues, known = queue_names(''), {}
for _, queue in ipairs(queues) do known[queue] = true end
local origin = ask('HGET', key, 'origin')
if origin and not known[origin] then queues[#queues + 1] = origin end
for _, queue in ipairs(queues) do
  look_in_list('queued', queue)
  look_in_list('limbo', queue)
  look_in_registries(queue)
  look_for_leases(queue)
end

for _, limit in ipairs(limit_names()) do
  local rank = ask('ZRANK', held_key(limit), job_id)
  if rank then note('rate_limited', limit, rank + 1, size('ZCARD', held_key(limit))) end
end

local function limit_on(name)
  if not name or name == '' then return false end
  local first = {}
  for _, other in ipairs(ask('ZRANGE', let_through_key(name), 0, LET_THROUGH - 1) or {}) do
    local record = fields_of(prefix .. ':job:' .. other, 'status', 'origin') or {false, false}
    first[#first + 1] = {other, record[1], record[2]}
  end
  return {name, cut(ask('HGET', prefix .. ':rl:' .. name, 'concurrency')), size('ZCARD', let_through_key(name)), first}
end

local data, data_size = field('data')
local dependents = ask('SMEMBERS', key .. ':dependents') or {}
while #dependents > DEPENDENTS do table.remove(dependents) end
return {size('EXISTS', key), fields_of(key, unpack(names)) or false, data, data_size, (field('meta')),
        (field('exc_info')), size('PTTL', key),
        ask('XREVRANGE', prefix .. ':results:' .. job_id, '+', '-', 'COUNT', RESULTS) or {},
        executions, dependents, places, limit_on(ask('HGET', key, 'rate_limit_key'))}
