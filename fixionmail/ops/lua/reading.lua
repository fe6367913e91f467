-- Put before every script that looks. Nothing here writes, and no broken record stops a look.
-- ARGV[1] is the prefix of RQ's keys; the scripts' own arguments follow.
local prefix = ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local now_value = string.format('%d.%06d', tonumber(time[1]), tonumber(time[2]))
local BROKEN_LIMIT = 20
local TEXT_LIMIT = 400
local broken = {} -- keys that hold something else than RQ would put there

-- Ask the server; nil when there is no answer, as from a key of the wrong type.
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    local is_broken = string.find(answer.err, 'WRONGTYPE', 1, true)
    if is_broken and #broken < BROKEN_LIMIT then broken[#broken + 1] = select(2, ...) end
    return nil
  end
  return answer or nil
end

local function size(...)
  return ask(...) or 0
end

local function cut(text)
  if text and #text > TEXT_LIMIT then return string.sub(text, 1, TEXT_LIMIT) end
  return text or false
end

-- Fields of a hash, each cut short; false where there is none. Nil when there is no such hash.
local function fields_of(key, ...)
  local found = ask('HMGET', key, ...)
  if not found then return nil end
  local any = false
  for i, value in ipairs(found) do
    any = any or value
    found[i] = cut(value)
  end
  return any and found or nil
end
