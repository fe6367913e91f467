-- The lists and registries that hold something, what they are named after, and how many entries each.
-- ARGV: prefix, states (comma separated), queue ('' for all).
local found = {}
for state in string.gmatch(ARGV[2], '[^,]+') do
  for _, name in ipairs(names_of(state, ARGV[3])) do
    local count = size(is_registry(state) and 'ZCARD' or 'LLEN', place_key(state, name))
    if count > 0 then found[#found + 1] = {state, name, count} end
  end
end
return found
