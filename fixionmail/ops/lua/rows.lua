-- Jobs as rows of a table, and the lists and registries that hold them. A place is named after its queue, or after the
-- limit that holds jobs back.
local REGISTRIES = {started = 'wip', failed = 'failed', finished = 'finished', deferred = 'deferred', ready = 'ready',
                    scheduled = 'scheduled', canceled = 'canceled'}
local ERROR_LIMIT = 32768 -- bytes of a packed traceback that a row carries
local COLUMNS = {'status', 'origin', 'description', 'created_at', 'enqueued_at', 'started_at', 'ended_at',
                 'worker_name', 'number_of_retries', 'rate_limit_key'}
local CAME_AT = {queued = 5, limbo = 5, started = 6, failed = 7, finished = 7, canceled = 7} -- among the columns
local ORIGIN, CREATED_AT, LIMIT = 2, 4, 10
local YEAR_9999 = 253370764800

-- Where jobs of a state lie; limbo is rq's intermediate list.
local function place_key(state, name)
  if state == 'rate_limited' then return held_key(name) end
  if REGISTRIES[state] then return prefix .. ':' .. REGISTRIES[state] .. ':' .. name end
  return prefix .. ':queue:' .. name .. (state == 'limbo' and ':intermediate' or '')
end

local function is_registry(state)
  return state == 'rate_limited' or REGISTRIES[state] ~= nil
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

-- The places of a state; a limit may hold back jobs of any queue.
local function names_of(state, queue_wanted)
  return state == 'rate_limited' and limit_names() or queue_names(queue_wanted)
end

-- RQ's text form of a moment, from whole seconds since 1970; nil for what cannot be one.
local function moment_of(seconds)
  if not seconds or not (seconds >= 0 and seconds < YEAR_9999) then return nil end
  local days, second = math.floor(seconds / 86400) + 719468, math.floor(seconds % 86400) -- since 1 March of the year 0
  local era, day = math.floor(days / 146097), days % 146097 -- 400 years
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day + 2) / 153) -- 0 is March
  day = day - math.floor((153 * month + 2) / 5) + 1
  year = era * 400 + year + (month < 10 and 0 or 1)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.000000Z', year, month < 10 and month + 3 or month - 9, day,
                       math.floor(second / 3600), math.floor(second / 60) % 60, second % 60)
end

-- When a job came into its state, in RQ's text form; nil where nothing says so.
local function came_at(state, fields, score)
  if state == 'rate_limited' then return moment_of(tonumber(score)) end
  local came = fields and fields[CAME_AT[state] or CREATED_AT]
  if not came or came == '' then came = fields and fields[CREATED_AT] end
  return came ~= '' and came or nil
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
local function row_of(state, name, entry, score, fields)
  local job_id = job_of(state, entry)
  local queue = name
  if state == 'rate_limited' then queue = fields and fields[ORIGIN] or '' end
  local result, own = false, false
  if state == 'failed' then result, own = packed_error(job_id) end
  return {state, queue, job_id, score or false, fields or false, result, own}
end
