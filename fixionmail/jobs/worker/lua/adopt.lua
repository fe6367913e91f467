-- After a lost reply: what this worker has been given and does not know of.
-- ARGV: prefix, worker, then the ids of the executions it knows.
-- Returns: unknown executions, in the form in which claim.lua reports started ones.
local prefix, worker = ARGV[1], ARGV[2]
local executions_key = prefix .. ':worker:' .. worker .. ':executions'
local FIELDS = {'origin', 'data', 'timeout', 'enqueued_at', 'ttl', 'success_callback_name', 'failure_callback_name',
                'stopped_callback_name', 'webhooks', 'repeats_left', 'rate_limit_key'}
local known, unknown = {}, {}
for i = 3, #ARGV do known[ARGV[i]] = true end
for _, member in ipairs(redis.call('SMEMBERS', executions_key)) do
  local job_id, execution = string.match(member, '^(.*):([^:]+)$')
  if not known[execution] then
    local job = redis.call('HMGET', prefix .. ':job:' .. job_id, unpack(FIELDS))
    local created = redis.call('HGET', prefix .. ':execution:' .. member, 'created_at')
    if job[1] and created and redis.call('ZSCORE', prefix .. ':wip:' .. job[1], member) then
      unknown[#unknown + 1] = {job[1], job_id, execution, created, unpack(job, 2)}
    else
      redis.call('SREM', executions_key, member)
    end
  end
end
return {now_value, unknown}
