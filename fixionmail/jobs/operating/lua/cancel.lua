-- done; running: it is to be stopped first; ended: there is nothing to cancel; also gone, moved on, broken.
-- Like Job.cancel, it leaves jobs that depend on this one as they are.
local LEAVES = true

local function act(job_id, job)
  if job.status == 'canceled' or job.status == 'finished' then return 'ended' end
  if job.status == 'started' then
    if is_running(job_id, job.queue) then return 'running' end
    forget_running(job_id, job.queue, job.worker)
  end
  try('LREM', limbo_of(job.queue), 0, job_id)
  leave_registries(job_id, job.queue)
  redis.call('HSET', key_of('job', job_id), 'status', 'canceled')
  redis.call('ZADD', key_of('canceled', job.queue), now, job_id)
  leave_limit(job_id, job.limit)
  return 'done'
end
