-- done; running: it is to be stopped first; also gone, moved on, broken.
-- Like Job.delete, it leaves jobs that depend on this one as they are; what they depend on is then no longer there.
local LEAVES = true

local function act(job_id, job)
  if job.status == 'started' and is_running(job_id, job.queue) then return 'running' end
  forget_running(job_id, job.queue, job.worker)
  try('LREM', limbo_of(job.queue), 0, job_id)
  leave_registries(job_id, job.queue)
  if job.group and job.group ~= '' then try('SREM', key_of('group', job.group), job_id) end
  local key = key_of('job', job_id)
  redis.call('DEL', key, key .. ':dependents', key_of('job', ':' .. job_id .. ':dependencies'), key_of('results', job_id))
  leave_limit(job_id, job.limit)
  return 'done'
end
