-- done; running: somebody is at it; queued: it waits in its queue already; taken: a worker has just popped it, or lost
-- it, which only time can tell: see repair; also gone, moved on, broken.
return each_as_seen(function(job_id, status, queue, worker)
  if status == 'started' and is_running(job_id, queue) then return 'running' end
  if status == 'queued' then return try('LPOS', list_of(queue), job_id) and 'queued' or 'taken' end
  push(job_id, queue, worker)
  return 'done'
end)
