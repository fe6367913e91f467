-- One step of a search. What cannot be decided here, such as text inside a packed error, is left to the asker.
-- ARGV as in walk.lua, then: part of the id, part of the description, bounds of when it came into its state (text,
-- exclusive: after, before), and words. Text is in lower case; '' asks for nothing.
local id_part, function_part = ARGV[FIRST_ARGUMENT], ARGV[FIRST_ARGUMENT + 1]
local after, before = ARGV[FIRST_ARGUMENT + 2], ARGV[FIRST_ARGUMENT + 3]
local rows = {}

local function has(text, part)
  return part == '' or string.find(string.lower(text), part, 1, true) ~= nil
end

local function is_of_age(came)
  if not came then return true end
  return (after == '' or came > after) and (before == '' or came < before)
end

local function has_words(text)
  if state == 'failed' then return true end -- they may be in the error
  for i = FIRST_ARGUMENT + 4, #ARGV do
    if not has(text, ARGV[i]) then return false end
  end
  return true
end

local function visit(entry, score)
  local job_id = job_of(state, entry)
  if not has(job_id, id_part) then return end
  local fields = fields_of(prefix .. ':job:' .. job_id, unpack(COLUMNS))
  local about = fields and fields[3] or ''
  local words = job_id .. '\n' .. about .. '\n' .. (fields and fields[LIMIT] or '')
  if has(about, function_part) and has_words(words) and is_of_age(came_at(state, fields, score)) then
    rows[#rows + 1] = row_of(state, name, entry, score, fields)
  end
end

local visited, place = walk(visit)
return {visited, place, rows}
