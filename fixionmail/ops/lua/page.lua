-- A window of several lists and registries as one, newest first.
-- ARGV: prefix, rows wanted, states (comma separated), queue ('' for all), then per source that was begun:
-- state, name, and its place: (index from the head, entry) in a list, (score, entry) in a registry.
-- Returns: entries in all, rows, and the places to go on from in the same form.
-- A limit may hold back jobs of other queues than the one wanted: they are passed over, and not more than PASSED_LIMIT
-- on one page, which then ends early.
local wanted, queue_wanted = tonumber(ARGV[2]), ARGV[4]
local PASSED_LIMIT = 5000

local begun = {}
for i = 5, #ARGV, 4 do begun[ARGV[i] .. ' ' .. ARGV[i + 1]] = {ARGV[i + 2], ARGV[i + 3]} end

-- ---- sources ----------------------------------------------------------------------------------------------------

local function source_of(state, name)
  local key, registry = place_key(state, name), is_registry(state)
  local count = size(registry and 'ZCARD' or 'LLEN', key)
  local source = {state = state, name = name, key = key, registry = registry, count = count, buffer = {}, at = 1,
                  last = '9999', mixed = state == 'rate_limited' and queue_wanted ~= ''}
  source.next = next_in(registry, key, count, begun[state .. ' ' .. name])
  return source
end

local function next_entry(source)
  if source.at > #source.buffer then
    source.buffer, source.next = entries_from(source.registry, source.key, source.next, CHUNK)
    source.at = 1
  end
  source.at = source.at + 1
  return source.buffer[source.at - 1]
end

local passed = 0

-- The next entry of the queue that is wanted. Nil at the end, or where the source is left for the next page.
local function next_wanted(source)
  local entry = next_entry(source)
  while source.mixed and entry and ask('HGET', prefix .. ':job:' .. entry[1], 'origin') ~= queue_wanted do
    passed = passed + 1
    if passed > PASSED_LIMIT then
      source.place = {entry[2], entry[1]}
      return nil
    end
    entry = next_entry(source)
  end
  return entry
end

-- Read the record of the next entry, by whose age the source competes with the others.
local function advance(source)
  local entry = next_wanted(source)
  source.head = entry
  if not entry then return end
  source.fields = fields_of(prefix .. ':job:' .. job_of(source.state, entry[1]), unpack(COLUMNS))
  source.age = came_at(source.state, source.fields, entry[2]) or source.last
  source.last = source.age
end

local sources, total = {}, 0
for state in string.gmatch(ARGV[3], '[^,]+') do
  for _, name in ipairs(names_of(state, queue_wanted)) do
    local source = source_of(state, name)
    if not source.mixed then total = total + source.count end
    if source.count > 0 then
      advance(source)
      sources[#sources + 1] = source
    end
  end
  if state == 'rate_limited' and queue_wanted ~= '' then total = total + (held_by_queue()[queue_wanted] or 0) end
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
  rows[#rows + 1] = row_of(source.state, source.name, entry[1], entry[2], source.fields)
  advance(source)
end

local more = newest() ~= nil or passed > PASSED_LIMIT
for _, source in ipairs(more and sources or {}) do
  local place = source.place or begun[source.state .. ' ' .. source.name]
  if place then
    for _, part in ipairs({source.state, source.name, tostring(place[1]), place[2]}) do places[#places + 1] = part end
  end
end
return {total, rows, more and 1 or 0, places}
