-- let_go: take ids from among the active ones of a queue.
--
-- INCLUDE active_list
local function let_go(lease, ...)
  redis.pcall('ZREM', lease, ...)
  local active = active_list(lease)
  -- The oldest stand on the right, and mostly end first.
  for _, id in ipairs({...}) do redis.pcall('LREM', active, -1, id) end
end
