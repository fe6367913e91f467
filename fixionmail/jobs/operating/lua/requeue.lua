-- done; running: somebody is at it; queued: it waits in its queue already; also gone, moved on, broken.
return each_as_seen(function(job_id, status, queue, worker)
  if status == 'started' and is_running(job_id, queue) then return 'running' end
  if status == 'queued' and try('LPOS', list_of(queue), job_id) then return 'queued' end
  push(job_id, queue, worker)
  return 'done'
end)
