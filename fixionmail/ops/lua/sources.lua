-- The lists and registries that hold something, and how many entries each.
-- ARGV: prefix, states (comma separated), queue ('' for all).
local found = {}
for state in string.gmatch(ARGV[2], '[^,]+') do
  for _, queue in ipairs(queue_names(ARGV[3])) do
    local count = size(is_registry(state) and 'ZCARD' or 'LLEN', place_key(state, queue))
    if count > 0 then found[#found + 1] = {state, queue, count} end
  end
end
return found
