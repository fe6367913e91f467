-- Go through a slice of a list, from its tail towards its head, and change the jobs in it that are as they were seen.
-- ARGV[3]: the queue; ARGV[4]: how many entries behind the slice were gone through; then pairs of a job's id and the
-- version it was seen in, DONE for one that was changed and may be in the list a second time.
-- Returns how many entries behind the next slice have been gone through, or -1 at the end, and id, word for each found.
-- Workers take from the head and jobs come in at the tail: neither moves what is still to be gone through out of the way.
local SLICE, CHANGES = 2500, 100
local DONE, REMOVED = '=', '\0removed'
local list, passed = list_of(ARGV[3]), tonumber(ARGV[4])
local seen, words, found = {}, {}, {}
for i = 5, #ARGV, 2 do seen[ARGV[i]] = ARGV[i + 1] end

local function word_of(job_id)
  if words[job_id] then return words[job_id] end
  if seen[job_id] == DONE then return 'done' end
  return as_seen(job_id, seen[job_id], LEAVES and act or function() return 'queued' end)
end

local entries = try('LRANGE', list, -passed - SLICE, -passed - 1) or {}
local gone, changes, looked = 0, 0, 0
while looked < #entries and changes < CHANGES do
  local job_id = entries[#entries - looked]
  looked = looked + 1
  if seen[job_id] then
    local word = word_of(job_id)
    if not words[job_id] then
      words[job_id], changes = word, changes + 1
      found[#found + 1] = job_id
      found[#found + 1] = word
    end
    if LEAVES and word == 'done' then
      redis.call('LSET', list, -passed - looked, REMOVED)
      gone = gone + 1
    end
  end
end
if gone > 0 then
  local is_near_tail = passed < redis.call('LLEN', list) / 2
  redis.call('LREM', list, is_near_tail and -gone or gone, REMOVED)
end
local is_end = looked == #entries and looked < SLICE
return {is_end and -1 or passed + looked - gone, found}
