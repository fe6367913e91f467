-- Jobs as rows of a table, and the lists and registries that hold them.
local REGISTRIES = {started = 'wip', failed = 'failed', finished = 'finished', deferred = 'deferred',
                    scheduled = 'scheduled', canceled = 'canceled'}
local ERROR_LIMIT = 32768 -- bytes of a packed traceback that a row carries
local COLUMNS = {'status', 'origin', 'description', 'created_at', 'enqueued_at', 'started_at', 'ended_at',
                 'worker_name', 'number_of_retries'}

-- Where jobs of a state lie; limbo is rq's intermediate list.
local function place_key(state, queue)
  if REGISTRIES[state] then return prefix .. ':' .. REGISTRIES[state] .. ':' .. queue end
  return prefix .. ':queue:' .. queue .. (state == 'limbo' and ':intermediate' or '')
end

local function is_registry(state)
  return REGISTRIES[state] ~= nil
end

local function queue_names(wanted)
  if wanted ~= '' then return {wanted} end
  local names, start = {}, prefix .. ':queue:'
  for _, key in ipairs(ask('SMEMBERS', prefix .. ':queues') or {}) do
    if string.sub(key, 1, #start) == start then names[#names + 1] = string.sub(key, #start + 1) end
  end
  table.sort(names)
  return names
end

-- The job of an entry: in the registry of started jobs an entry names the execution too.
local function job_of(state, entry)
  return state == 'started' and string.match(entry, '^(.*):[^:]*$') or entry
end

-- The packed traceback of a job's last attempt: in its results, or in its own record as old versions had it.
local function packed_error(job_id)
  local newest = ask('XREVRANGE', prefix .. ':results:' .. job_id, '+', '-', 'COUNT', 1)
  local fields = newest and newest[1] and newest[1][2] or {}
  for i = 1, #fields - 1, 2 do
    if fields[i] == 'exc_string' then return string.sub(fields[i + 1], 1, ERROR_LIMIT), false end
  end
  local own = ask('HGET', prefix .. ':job:' .. job_id, 'exc_info')
  return false, own and string.sub(own, 1, ERROR_LIMIT) or false
end

-- What a row shows; false instead of the fields when there is no such record.
local function row_of(state, queue, entry, score, fields)
  local job_id = job_of(state, entry)
  local result, own = false, false
  if state == 'failed' then result, own = packed_error(job_id) end
  return {state, queue, job_id, score or false, fields or false, result, own}
end
