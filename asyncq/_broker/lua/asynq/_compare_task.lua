-- compare_task: whether what has an id is the very task that is to be stored under it:
-- already | conflict | unusable.
--
-- INCLUDE facts
-- INCLUDE parts_of
--
-- What a run has written into its message makes no other task of it.
local function compare_task(task, both)
  local held = redis.pcall('HMGET', task, 'msg', 'extra')
  if held.err then return 'unusable' end
  local message, extra = parts_of(both)
  if not held[1] or (held[2] or '') ~= extra then return 'conflict' end
  if held[1] == message then return 'already' end
  local is_fine, _, as_it_was = pcall(facts, held[1], {[6] = false, [7] = false, [11] = false, [13] = false})
  return is_fine and as_it_was == message and 'already' or 'conflict'
end
