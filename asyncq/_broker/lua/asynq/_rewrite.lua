-- rewrite: make changes to the message of a task, by their tags; false where it cannot be read.
--
-- INCLUDE facts
local function rewrite(task, changes)
  local message = redis.call('HGET', task, 'msg')
  if not message then return false end
  local is_fine, _, changed = pcall(facts, message, changes)
  if is_fine and changed ~= message then redis.call('HSET', task, 'msg', changed) end
  return is_fine
end
