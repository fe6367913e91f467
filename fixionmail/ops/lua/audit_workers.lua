-- Workers whose record is gone, and executions that workers claim for jobs without a record or a lease.
local gone, orphans = {}, {}
for _, key in ipairs(ask('SMEMBERS', prefix .. ':workers') or {}) do
  if size('EXISTS', key) == 0 then gone[#gone + 1] = string.sub(key, #prefix + #':worker:' + 1) end
  for _, member in ipairs(ask('SMEMBERS', key .. ':executions') or {}) do
    local job_id = job_of('started', member)
    local origin = ask('HGET', prefix .. ':job:' .. job_id, 'origin')
    if not origin or not ask('ZSCORE', prefix .. ':wip:' .. origin, member) then orphans[#orphans + 1] = member end
  end
end
return {size('DBSIZE'), gone, orphans}
