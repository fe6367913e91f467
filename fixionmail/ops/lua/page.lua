-- A window of several lists and registries as one, newest first.
-- ARGV: prefix, rows wanted, states (comma separated), queue ('' for all), then per source that was begun:
-- state, queue, and its place: (index from the head, entry) in a list, (score, entry) in a registry.
-- Returns: entries in all, rows, and the places to go on from in the same form.
local wanted, queue_wanted = tonumber(ARGV[2]), ARGV[4]
local CHUNK = 16
local WINDOW = 5000 -- how far an entry is looked for that has moved towards the head since the last page
local CAME_AT = {queued = 5, limbo = 5, started = 6, failed = 7, finished = 7, canceled = 7} -- among the columns
local CREATED_AT = 4

local begun = {}
for i = 5, #ARGV, 4 do begun[ARGV[i] .. ' ' .. ARGV[i + 1]] = {tonumber(ARGV[i + 2]), ARGV[i + 3]} end

-- ---- places -----------------------------------------------------------------------------------------------------

-- The order of a registry: by score, then by bytes.
local function comes_before(score, entry, other_score, other_entry)
  if score ~= other_score then return score > other_score end
  for i = 1, math.min(#entry, #other_entry) do
    local a, b = string.byte(entry, i), string.byte(other_entry, i)
    if a ~= b then return a > b end
  end
  return #entry > #other_entry
end

-- How many entries of a registry come before what follows (score, entry), which may be gone.
local function passed_in_registry(key, count, score, entry)
  local rank = ask('ZREVRANK', key, entry)
  if rank and tonumber(ask('ZSCORE', key, entry)) == score then return rank + 1 end
  local low, high = 0, count
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = ask('ZREVRANGE', key, middle, middle, 'WITHSCORES') or {}
    if found[1] and comes_before(tonumber(found[2]), found[1], score, entry) then low = middle + 1
    else high = middle end
  end
  return low
end

-- The index in a list of what follows the entry that was seen at ``index``; jobs leave at the head.
local function index_after(key, count, index, entry)
  if index < count and ask('LINDEX', key, index) == entry then return index - 1 end
  local first = math.max(0, index - WINDOW)
  local found = ask('LRANGE', key, first, index + CHUNK) or {}
  for i = #found, 1, -1 do
    if found[i] == entry then return first + i - 2 end
  end
  return math.min(index, count) - 1
end

-- ---- sources ----------------------------------------------------------------------------------------------------

local function source_of(state, queue)
  local key, registry = place_key(state, queue), is_registry(state)
  local count = size(registry and 'ZCARD' or 'LLEN', key)
  local source = {state = state, queue = queue, key = key, registry = registry, count = count, buffer = {}, at = 1,
                  last = '9999'}
  local place = begun[state .. ' ' .. queue]
  if registry then
    source.next = place and passed_in_registry(key, count, place[1], place[2]) or 0
  else
    source.next = place and index_after(key, count, place[1], place[2]) or count - 1
  end
  return source
end

local function refill(source)
  source.buffer, source.at = {}, 1
  if source.registry then
    local found = ask('ZREVRANGE', source.key, source.next, source.next + CHUNK - 1, 'WITHSCORES') or {}
    for i = 1, #found, 2 do source.buffer[#source.buffer + 1] = {found[i], found[i + 1]} end
    source.next = source.next + CHUNK
  elseif source.next >= 0 then
    local first = math.max(0, source.next - CHUNK + 1)
    local found = ask('LRANGE', source.key, first, source.next) or {}
    for i = #found, 1, -1 do source.buffer[#source.buffer + 1] = {found[i], first + i - 1} end
    source.next = first - 1
  end
end

-- Read the record of the next entry, by whose age the source competes with the others.
local function advance(source)
  if source.at > #source.buffer then refill(source) end
  local entry = source.buffer[source.at]
  source.at = source.at + 1
  source.head = entry
  if not entry then return end
  source.fields = fields_of(prefix .. ':job:' .. job_of(source.state, entry[1]), unpack(COLUMNS))
  local came = source.fields and (source.fields[CAME_AT[source.state] or CREATED_AT] or source.fields[CREATED_AT])
  source.age = came and came ~= '' and came or source.last
  source.last = source.age
end

local sources, total = {}, 0
for state in string.gmatch(ARGV[3], '[^,]+') do
  for _, queue in ipairs(queue_names(queue_wanted)) do
    local source = source_of(state, queue)
    total = total + source.count
    if source.count > 0 then
      advance(source)
      sources[#sources + 1] = source
    end
  end
end

local function newest()
  local best
  for _, source in ipairs(sources) do
    if source.head and (not best or source.age > best.age) then best = source end
  end
  return best
end

local rows, places = {}, {}
while #rows < wanted do
  local source = newest()
  if not source then break end
  local entry = source.head
  source.place = {entry[2], entry[1]}
  rows[#rows + 1] = row_of(source.state, source.queue, entry[1], entry[2], source.fields)
  advance(source)
end

local more = newest() ~= nil
for _, source in ipairs(more and sources or {}) do
  local place = source.place or begun[source.state .. ' ' .. source.queue]
  if place then
    for _, part in ipairs({source.state, source.queue, tostring(place[1]), place[2]}) do places[#places + 1] = part end
  end
end
return {total, rows, more and 1 or 0, places}
