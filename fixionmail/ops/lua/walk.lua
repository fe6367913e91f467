-- One step through a list or registry, newest first, that ends by itself before it holds up others for long.
-- The script after this one gives ``visit(entry, score)`` and its own arguments from FIRST_ARGUMENT on.
-- ARGV: prefix, state, name of the queue or limit, place: (score or index, entry), both '' at the beginning.
local state, name = ARGV[2], ARGV[3]
local FIRST_ARGUMENT = 6
local BUDGET_SECONDS = 0.004
local clock = os and os.clock or function() return 0 end -- the server's own TIME stands still in a script
local ENTRIES_LIMIT = os and 5000 or 500
local PART = 50 -- visited between two looks at the clock

-- Returns how many were visited, and the place to go on from: empty at the end.
local function walk(visit)
  local began, visited = clock(), 0
  local registry, key = is_registry(state), place_key(state, name)
  local count = size(registry and 'ZCARD' or 'LLEN', key)
  local place = ARGV[4] ~= '' and {ARGV[4], ARGV[5]} or nil
  local position, entries = next_in(registry, key, count, place), nil
  repeat
    entries, position = entries_from(registry, key, position, PART)
    for _, entry in ipairs(entries) do visit(entry[1], entry[2]) end
    visited = visited + #entries
    if #entries > 0 then place = {entries[#entries][2], entries[#entries][1]} end
  until #entries < PART or visited >= ENTRIES_LIMIT or clock() - began > BUDGET_SECONDS
  if #entries < PART then return visited, {} end
  return visited, {tostring(place[1]), place[2]}
end
