-- One step through a queue's failed jobs. Equal tracebacks are sent once; alike ones are put together by the asker.
-- ARGV as in walk.lua. Returns tracebacks (packed), whether each was in a job's own record, functions, and per job:
-- number of its traceback, number of its function, Unix time of its end (-1 when unknown), id.
local YEAR_2100 = 4102444800 -- what is said to have ended later is not believed
local errors, owns, error_numbers = {}, {}, {}
local functions, function_numbers = {}, {}
local jobs = {}

-- Seconds since 1970 of rq's text form of a moment, or nil.
local function seconds_of(text)
  local year, month, day, hour, minute, second =
    string.match(text or '', '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)')
  if not year then return nil end
  year, month = tonumber(year), tonumber(month)
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
               + math.floor((153 * (month - 3) + 2) / 5) + tonumber(day) - 719469
  return days * 86400 + hour * 3600 + minute * 60 + second
end

-- The traceback of the newest attempt, whether it is in the job's own record, and when the attempt ended.
local function failure_of(job_id)
  local newest = ask('XREVRANGE', prefix .. ':results:' .. job_id, '+', '-', 'COUNT', 1)
  if newest and newest[1] then
    local fields = newest[1][2]
    for i = #fields - 1, 1, -2 do
      if fields[i] == 'exc_string' then
        local error = #fields[i + 1] > ERROR_LIMIT and string.sub(fields[i + 1], 1, ERROR_LIMIT) or fields[i + 1]
        return error, 0, tonumber(string.match(newest[1][1], '^%d+')) / 1000
      end
    end
  end
  local own = ask('HMGET', prefix .. ':job:' .. job_id, 'exc_info', 'ended_at') or {}
  return own[1] and string.sub(own[1], 1, ERROR_LIMIT) or '', 1, seconds_of(own[2])
end

local function function_number(description)
  local name = cut(string.match(description, '^[%w_.<>]+%(') or description)
  local number = function_numbers[name]
  if not number then
    number = #functions
    functions[number + 1], function_numbers[name] = name, number
  end
  return number
end

local function visit(job_id)
  local description = ask('HGET', prefix .. ':job:' .. job_id, 'description') or ''
  local error, own, seconds = failure_of(job_id)
  local number = error_numbers[error]
  if not number then
    number = #errors
    errors[number + 1], owns[number + 1], error_numbers[error] = error, own, number
  end
  local at = #jobs
  jobs[at + 1], jobs[at + 2] = number, function_number(description)
  jobs[at + 3], jobs[at + 4] = seconds and seconds < YEAR_2100 and math.floor(seconds) or -1, job_id
end

local visited, place = walk(visit)
return {visited, place, {errors, owns, functions, jobs}}
