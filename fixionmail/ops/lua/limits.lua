-- RQ 3's limits on how many jobs of one key are queued or run at a time. What is beyond a limit is held back in a
-- registry of the limit's, whatever its queue, until one that was let through ends.
local ORIGINS_READ = 2000 -- of what all limits hold back

local function held_key(limit) return prefix .. ':rl:' .. limit .. ':rate_limited' end
local function let_through_key(limit) return prefix .. ':rl:' .. limit .. ':allowed' end

local function limit_names()
  local names = ask('SMEMBERS', prefix .. ':rl-keys') or {}
  table.sort(names)
  return names
end

-- How many jobs of each queue are held back. Where limits hold back more than ORIGINS_READ, the first ones of a limit
-- tell how the others are divided.
local function held_by_queue()
  local limits, shares, left = limit_names(), {}, ORIGINS_READ
  for i, limit in ipairs(limits) do
    local count = size('ZCARD', held_key(limit))
    local part = math.max(1, math.floor(left / (#limits - i + 1)))
    local ids = count > 0 and ask('ZRANGE', held_key(limit), 0, part - 1) or {}
    for _, id in ipairs(ids) do
      local queue = ask('HGET', prefix .. ':job:' .. id, 'origin')
      if queue then shares[queue] = (shares[queue] or 0) + count / #ids end
    end
    left = left - #ids
  end
  for queue, share in pairs(shares) do shares[queue] = math.floor(share + 0.5) end
  return shares
end
