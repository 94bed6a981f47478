-- count_retry: one more of the retries of a task is used.
--
-- INCLUDE facts
-- INCLUDE field_of
-- INCLUDE rewrite
-- INCLUDE signed
local function count_retry(task)
  local is_fine, known = pcall(facts, redis.call('HGET', task, 'msg') or '')
  local tag = field_of('retried')
  if is_fine then rewrite(task, {[tag] = signed(known[tag], 32) + 1}) end
end
