-- Where a scan of all keys will come by. ARGV: prefix, cursor, keys of a part.
-- Returns: the cursors behind each of the next parts; the last is 0 at the end of the scan.
local BUDGET_SECONDS = 0.003
local clock = os and os.clock or function() return 0 end -- the server's own TIME stands still in a script
local PARTS_LIMIT = os and 64 or 8
local NOTHING = '\0' -- a pattern that spares the answer the keys
local began, cursor, ends = clock(), ARGV[2], {}
repeat
  cursor = redis.call('SCAN', cursor, 'MATCH', NOTHING, 'COUNT', ARGV[3])[1]
  ends[#ends + 1] = cursor
until cursor == '0' or #ends >= PARTS_LIMIT or clock() - began > BUDGET_SECONDS
return ends
