-- compare_task: whether what has an id is the very task that is to be stored under it:
-- already | conflict | unusable.
--
-- INCLUDE facts
-- INCLUDE field_of
-- INCLUDE parts_of
--
-- What a run has written into its message makes no other task of it.
local function compare_task(task, both)
  local held = redis.pcall('HMGET', task, 'msg', 'extra')
  if held.err then return 'unusable' end
  local message, extra = parts_of(both)
  if not held[1] or (held[2] or '') ~= extra then return 'conflict' end
  if held[1] == message then return 'already' end
  local changes = {}
  for _, name in ipairs({'retried', 'error', 'failed_at', 'completed_at'}) do
    changes[field_of(name)] = false
  end
  local is_fine, _, as_it_was = pcall(facts, held[1], changes)
  return is_fine and as_it_was == message and 'already' or 'conflict'
end
