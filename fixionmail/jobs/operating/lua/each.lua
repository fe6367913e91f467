-- Change each job that is as it was seen. ARGV[3]: 1 when the lists have been gone through for these jobs, which are in
-- none; then pairs of a job's id and the version it was seen in. Returns a word for each: see the change; or
-- waits <queue>: it waits in a list that is too long to be looked through for it here, see sweep.
-- An id in a long list whose record names another place stays there, for the audit to find.
local swept = ARGV[3] == '1'
local budget = 150000 -- entries of lists that are looked at in one call

local function change(job_id, job)
  local list = list_of(job.queue)
  local length = swept and 0 or try('LLEN', list) or 0
  local is_short = length <= budget
  if is_short then budget = budget - length end
  if job.status == 'queued' and not swept then
    if not is_short then return 'waits ' .. job.queue end
    if not LEAVES then return try('LPOS', list, job_id) and 'queued' or 'taken' end
  end
  local word = act(job_id, job)
  if LEAVES and word == 'done' and is_short and not swept then try('LREM', list, 0, job_id) end
  return word
end

local outcomes = {}
for i = 4, #ARGV, 2 do outcomes[#outcomes + 1] = as_seen(ARGV[i], ARGV[i + 1], change) end
return outcomes
