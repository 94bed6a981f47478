-- count_retry: one more of the retries of a task is used.
--
-- INCLUDE facts
-- INCLUDE field_of
local function count_retry(task)
  local message = redis.call('HGET', task, 'msg') or ''
  local is_fine, known = pcall(facts, message)
  if not is_fine then return end
  local number = field_of('retried')
  local _, changed = facts(message, {[number] = (known[number] or 0) + 1})
  redis.call('HSET', task, 'msg', changed)
end
