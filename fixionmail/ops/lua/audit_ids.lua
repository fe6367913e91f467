-- What the records of given jobs say now.
-- ARGV: prefix, ids. Returns of each: whether there is a record, status, queue, whether it is where its status says
-- (1, 0, or -1 where that is a list), when it was last queued, and whether a run of it is on record.
local found = {}
for i = 2, #ARGV do
  local record = ask('HMGET', prefix .. ':job:' .. ARGV[i], 'status', 'origin', 'enqueued_at')
  local status, queue = record and record[1] or '', record and record[2] or ''
  local there = is_where_it_says(ARGV[i], status, queue)
  found[#found + 1] = {size('EXISTS', prefix .. ':job:' .. ARGV[i]), status, queue,
                       there == nil and -1 or (there and 1 or 0), record and record[3] or '',
                       size('EXISTS', prefix .. ':executions:' .. ARGV[i])}
end
return found
