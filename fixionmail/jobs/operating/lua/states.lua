-- The status of each job, empty when there is no record; then its queue, function's description and when it began.
local seen = {}
for i = 3, #ARGV do
  local record = try('HMGET', key_of('job', ARGV[i]), 'status', 'origin', 'description', 'started_at') or {}
  seen[#seen + 1] = {record[1] or '', record[2] or '', string.sub(record[3] or '', 1, 200), record[4] or ''}
end
return seen
