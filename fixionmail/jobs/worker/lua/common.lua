-- Put before every script. One clock for all leases: the server's.
local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])
local now = seconds + micros / 1000000
local now_value = string.format('%d.%06d', seconds, micros)
local minute = math.floor(seconds / 60)
local STATS_TTL = 7200

-- rq's text form of a moment, from days since 1970 (proleptic Gregorian calendar, years counted from March).
local function moment_text()
  local days, rest = math.floor(seconds / 86400) + 719468, seconds % 86400
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local day_of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day_of_year + 2) / 153)
  local day_of_month = day_of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day_of_month,
                       math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60, micros)
end
local now_text = moment_text()

local function error_text(problem)
  return type(problem) == 'table' and problem.err or tostring(problem)
end

-- Whether trying again later can help; everything else is a defect of one record.
local PASSING = {OOM = true, READONLY = true, MISCONF = true, NOREPLICAS = true, NOPERM = true, MASTERDOWN = true}
local function is_passing(text)
  return PASSING[string.match(text, '^%-?(%u+)') or ''] or false
end

-- Counting never stops the work: a counter of the wrong type is left alone.
local function count(queue, field, amount)
  local key = 'fm:stats:' .. queue .. ':' .. minute
  local counted = redis.pcall('HINCRBY', key, field, amount)
  if type(counted) == 'number' then redis.call('EXPIRE', key, STATS_TTL) end
end
