-- done; running: somebody is at it; queued: it waits in its queue, or under a limit of RQ's, already; taken: a worker has
-- just popped it, or lost it, which only time can tell: see repair; also gone, moved on, broken.
-- Unlike Job.requeue, it takes jobs of every state, clears who ran it and when, and keeps the record from expiring.
local LEAVES = false

local function act(job_id, job)
  if job.status == 'started' and is_running(job_id, job.queue) then return 'running' end
  if job.status == 'queued' then return 'taken' end
  if job.status == 'rate_limited' then return 'queued' end
  push(job_id, job.queue, job.worker, job.limit, job.most)
  return 'done'
end
