-- One chunk of a large deployment, as rq 3.0 would have left it.
-- ARGV: what (queued, finished, failed, scheduled, deferred), queue, first number, count, now, ended_at, enqueued_at,
-- payload, traceback (base64 of zlib) ...
local what, queue, first, count, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ended, enqueued, data = ARGV[6], ARGV[7], ARGV[8]
redis.call('SADD', 'rq:queues', 'rq:queue:' .. queue)
local ids, scored = {}, {}
for i = 0, count - 1 do
  local id = string.format('%s-%s-%08d', queue, what, first + i)
  local key = 'rq:job:' .. id
  redis.call('HSET', key, 'created_at', enqueued, 'data', data, 'origin', queue, 'enqueued_at', enqueued,
             'description', 'shop.tasks.' .. queue .. "('" .. id .. "')", 'timeout', '180', 'result_ttl', '86400',
             'started_at', what == 'queued' and '' or ended, 'ended_at', what == 'queued' and '' or ended,
             'status', what, 'worker_name', '')
  ids[#ids + 1] = id
  scored[#scored + 1] = string.format('%.6f', now + (first + i) / 1000)
  scored[#scored + 1] = id
  if what == 'failed' then
    redis.call('XADD', 'rq:results:' .. id, string.format('%d-0', (now - 31536000) * 1000 + first + i), 'type', '2',
               'worker_name', 'w', 'exc_string', ARGV[9 + (first + i) % (#ARGV - 8)])
  end
end
if what == 'queued' then redis.call('RPUSH', 'rq:queue:' .. queue, unpack(ids))
else redis.call('ZADD', 'rq:' .. what .. ':' .. queue, unpack(scored)) end
return count
