-- Workers whose record is gone, executions that workers claim for jobs without a record or a lease, and keys that hold
-- another type than RQ puts there.
local gone, orphans, unreadable = {}, {}, {}
for _, key in ipairs(ask('SMEMBERS', prefix .. ':workers') or {}) do
  if size('EXISTS', key) == 0 then gone[#gone + 1] = string.sub(key, #prefix + #':worker:' + 1) end
  for _, member in ipairs(ask('SMEMBERS', key .. ':executions') or {}) do
    local job_id = job_of('started', member)
    local origin = ask('HGET', prefix .. ':job:' .. job_id, 'origin')
    if not origin or not ask('ZSCORE', prefix .. ':wip:' .. origin, member) then orphans[#orphans + 1] = member end
  end
end

local function expect(kind, key)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then unreadable[#unreadable + 1] = key end
end
for _, name in ipairs({'queues', 'workers', 'rl-keys'}) do expect('set', prefix .. ':' .. name) end
for _, queue in ipairs(queue_names('')) do
  for _, state in ipairs({'queued', 'limbo'}) do expect('list', place_key(state, queue)) end
  for state in pairs(REGISTRIES) do expect('zset', place_key(state, queue)) end
end
for _, limit in ipairs(limit_names()) do expect('zset', held_key(limit)) end

return {size('DBSIZE'), gone, orphans, unreadable}
