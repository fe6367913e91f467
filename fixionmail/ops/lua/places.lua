-- Going on in a list or registry behind an entry, whatever has come or gone since.
local CHUNK = 16 -- entries read at a time
local WINDOW = 5000 -- how far an entry is looked for that has moved towards the head of its list

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

-- Where to go on in ``key``: a rank from the highest score down, or an index from the tail of a list down. ``place``:
-- (score or index, entry) of the last one seen, as text, which keeps every digit of a score; nil at the beginning.
local function next_in(registry, key, count, place)
  if registry then return place and passed_in_registry(key, count, tonumber(place[1]), place[2]) or 0 end
  return place and index_after(key, count, tonumber(place[1]), place[2]) or count - 1
end

-- Up to ``wanted`` entries from there on, each with its score or index, and where the next ones begin.
local function entries_from(registry, key, position, wanted)
  local entries = {}
  if registry then
    local found = ask('ZREVRANGE', key, position, position + wanted - 1, 'WITHSCORES') or {}
    for i = 1, #found, 2 do entries[#entries + 1] = {found[i], found[i + 1]} end
    return entries, position + wanted
  end
  if position < 0 then return entries, position end
  local first = math.max(0, position - wanted + 1)
  local found = ask('LRANGE', key, first, position) or {}
  for i = #found, 1, -1 do entries[#entries + 1] = {found[i], first + i - 1} end
  return entries, first - 1
end
