-- done; running: it is to be stopped first; ended: there is nothing to cancel; also gone, moved on, broken.
return each_as_seen(function(job_id, status, queue, worker)
  if status == 'canceled' or status == 'finished' then return 'ended' end
  if status == 'started' then
    if is_running(job_id, queue) then return 'running' end
    forget_running(job_id, queue, worker)
  end
  leave_lists(job_id, queue)
  leave_registries(job_id, queue)
  redis.call('HSET', key_of('job', job_id), 'status', 'canceled')
  redis.call('ZADD', key_of('canceled', queue), now, job_id)
  return 'done'
end)
