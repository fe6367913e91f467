-- done; running: it is to be stopped first; also gone, moved on, broken.
return each_as_seen(function(job_id, status, queue, worker)
  if status == 'started' and is_running(job_id, queue) then return 'running' end
  forget_running(job_id, queue, worker)
  leave_lists(job_id, queue)
  leave_registries(job_id, queue)
  local key = key_of('job', job_id)
  redis.call('DEL', key, key .. ':dependents', key_of('job', ':' .. job_id .. ':dependencies'), key_of('results', job_id))
  return 'done'
end)
