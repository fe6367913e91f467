-- One step through a registry: entries that their job's record does not bear out. ARGV as in walk.lua.
-- Returns of each: id, status, whether it is where its status says, and whether its lease has lapsed.
local odd = {}

local function visit(entry, score)
  local job_id = job_of(state, entry)
  local record = ask('HMGET', prefix .. ':job:' .. job_id, 'status', 'origin')
  local status, origin = record and record[1] or '', record and record[2] or name
  local named = status == 'rate_limited' and limit_of(job_id) or origin
  local as_it_says = (PLACE_OF[status] or status) == state and named == name
  local lapsed = state == 'started' and tonumber(score) > 0 and tonumber(score) < now
  if not as_it_says or lapsed then
    local elsewhere = not as_it_says and is_where_it_says(job_id, status, origin) and 1 or 0
    odd[#odd + 1] = {job_id, size('EXISTS', prefix .. ':job:' .. job_id), as_it_says and 1 or 0, elsewhere,
                     lapsed and 1 or 0}
  end
end

local visited, place = walk(visit)
return {visited, place, odd}
