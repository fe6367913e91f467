-- One step through a queue's failed jobs: equal tracebacks are put together here, alike ones by the asker.
-- ARGV as in walk.lua. Returns per traceback: it (packed, and whether in a job's own record), how many, sample ids,
-- functions with their counts, hours (Unix time / 3600) with their counts, first and last moment in seconds.
local SAMPLES = 5
local YEAR_2100 = 4102444800 -- what is said to have ended later is not believed
local groups, order = {}, {}

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

local function tally(counts, what)
  counts[what] = (counts[what] or 0) + 1
end

local function flat(counts)
  local found = {}
  for what, count in pairs(counts) do
    found[#found + 1] = tostring(what)
    found[#found + 1] = count
  end
  return found
end

local function visit(job_id)
  local description = ask('HGET', prefix .. ':job:' .. job_id, 'description') or ''
  local packed, own, seconds = failure_of(job_id)
  local group = groups[packed]
  if not group then
    group = {packed = packed, own = own, count = 0, ids = {}, functions = {}, hours = {}}
    groups[packed] = group
    order[#order + 1] = group
  end
  group.count = group.count + 1
  if #group.ids < SAMPLES then group.ids[#group.ids + 1] = job_id end
  tally(group.functions, cut(string.match(description, '^[%w_.<>]+%(') or description))
  if seconds and seconds < YEAR_2100 then
    tally(group.hours, math.floor(seconds / 3600))
    group.first = math.min(group.first or seconds, seconds)
    group.last = math.max(group.last or seconds, seconds)
  end
end

local visited, place = walk(visit)
local found = {}
for i, group in ipairs(order) do
  found[i] = {group.packed, group.own, group.count, group.ids, flat(group.functions), flat(group.hours),
              group.first and tostring(group.first) or false, group.last and tostring(group.last) or false}
end
return {visited, place, found}
