-- Where a job's record says that the job is.
local PLACE_OF = {failed = 'failed', stopped = 'failed', finished = 'finished', deferred = 'deferred',
                  scheduled = 'scheduled', canceled = 'canceled', ready_to_enqueue = 'ready'}

-- Whether a lease of the job is in the registry of started jobs of its queue.
local function has_lease(job_id, queue)
  local leases = prefix .. ':wip:' .. queue
  if redis.pcall('ZSCORE', leases, job_id) then return true end
  for _, execution in ipairs(ask('ZRANGE', prefix .. ':executions:' .. job_id, 0, -1) or {}) do
    if ask('ZSCORE', leases, job_id .. ':' .. execution) then return true end
  end
  return false
end

local function limit_of(job_id)
  return ask('HGET', prefix .. ':job:' .. job_id, 'rate_limit_key') or ''
end

-- Whether the place that a record names holds the job; nil for a list, which only its reader knows, and for a job
-- that was never queued.
local function is_where_it_says(job_id, status, queue)
  if status == 'started' then return has_lease(job_id, queue) end
  if status == 'rate_limited' then return ask('ZSCORE', held_key(limit_of(job_id)), job_id) ~= nil end
  if not PLACE_OF[status] then return nil end
  return ask('ZSCORE', prefix .. ':' .. PLACE_OF[status] .. ':' .. queue, job_id) ~= nil
end
