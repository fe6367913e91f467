-- The entries of a list, without a look at their records. ARGV as in walk.lua.
local entries = {}
local visited, place = walk(function(entry) entries[#entries + 1] = entry end)
return {visited, place, entries}
