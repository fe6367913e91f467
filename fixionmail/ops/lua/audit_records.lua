-- The records of jobs in one part of a scan of all keys.
-- ARGV: prefix, cursor of the server's scan, keys of a part.
-- Returns: cursor, microseconds it took, and: ids whose record says queued, counts of (status, queue) found where they
-- say they are, records that are nowhere: (id, status, queue), and keys that are no records.
local clock = os and os.clock or function() return 0 end -- the server's own TIME stands still in a script
local began = clock()
local start = prefix .. ':job:'
local queued, confirmed, lost = {}, {}, {}

local function visit(key)
  local job_id = string.sub(key, #start + 1)
  if string.find(job_id, ':', 1, true) then return end -- a job's dependents or dependencies
  local record = ask('HMGET', key, 'status', 'origin')
  if not record then return end
  local status, queue = record[1] or '', record[2] or ''
  if status == 'queued' then
    queued[#queued + 1] = job_id
    return
  end
  local found = is_where_it_says(job_id, status, queue)
  if found then
    local place = (PLACE_OF[status] or status) .. ' ' .. (status == 'rate_limited' and limit_of(job_id) or queue)
    confirmed[place] = (confirmed[place] or 0) + 1
  elseif found == false or status == '' then
    lost[#lost + 1] = {job_id, status, queue}
  end
end

local found = redis.call('SCAN', ARGV[2], 'MATCH', start .. '*', 'COUNT', ARGV[3])
for _, key in ipairs(found[2]) do visit(key) end

local counts = {}
for place, count in pairs(confirmed) do
  counts[#counts + 1] = place
  counts[#counts + 1] = count
end
return {found[1], math.floor((clock() - began) * 1000000), {queued, counts, lost, broken}}
