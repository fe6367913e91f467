-- A window of several lists and registries as one, newest first.
-- ARGV: prefix, rows wanted, states (comma separated), queue ('' for all), then per source that was begun:
-- state, queue, and its place: (index from the head, entry) in a list, (score, entry) in a registry.
-- Returns: entries in all, rows, and the places to go on from in the same form.
local wanted, queue_wanted = tonumber(ARGV[2]), ARGV[4]
local CAME_AT = {queued = 5, limbo = 5, started = 6, failed = 7, finished = 7, canceled = 7} -- among the columns
local CREATED_AT = 4

local begun = {}
for i = 5, #ARGV, 4 do begun[ARGV[i] .. ' ' .. ARGV[i + 1]] = {tonumber(ARGV[i + 2]), ARGV[i + 3]} end

-- ---- sources ----------------------------------------------------------------------------------------------------

local function source_of(state, queue)
  local key, registry = place_key(state, queue), is_registry(state)
  local count = size(registry and 'ZCARD' or 'LLEN', key)
  local source = {state = state, queue = queue, key = key, registry = registry, count = count, buffer = {}, at = 1,
                  last = '9999'}
  source.next = next_in(registry, key, count, begun[state .. ' ' .. queue])
  return source
end

-- Read the record of the next entry, by whose age the source competes with the others.
local function advance(source)
  if source.at > #source.buffer then
    source.buffer, source.next = entries_from(source.registry, source.key, source.next, CHUNK)
    source.at = 1
  end
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
