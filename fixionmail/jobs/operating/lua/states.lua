-- Each job as it is: status (empty without a record), queue, description, when it began, the version to act on, and how
-- many jobs wait for it.
local seen = {}
for i = 3, #ARGV do
  local key = key_of('job', ARGV[i])
  local record = try('HMGET', key, 'status', 'origin', 'description', 'started_at', 'enqueued_at', 'ended_at') or {}
  local status = record[1] or ''
  seen[#seen + 1] = {status, record[2] or '', string.sub(record[3] or '', 1, 200), record[4] or '',
                     version_of(status, record[5], record[6]),
                     tonumber(try('SCARD', key .. ':dependents') or nil) or 0}
end
return seen
