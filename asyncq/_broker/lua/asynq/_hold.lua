-- hold: put ids among the active ones of a queue, until their leases end; false if they cannot be.
--
-- INCLUDE active_list
--
-- Go reads `active`, too, and looks for lost tasks in `lease` alone: an id is in both or in none.
local function hold(lease, ends_at, ids)
  local active, scores = active_list(lease), {}
  for i = 1, #ids do scores[i * 2 - 1], scores[i * 2] = ends_at, ids[i] end
  if type(redis.pcall('LPUSH', active, unpack(ids))) ~= 'number' then return false end
  if type(redis.pcall('ZADD', lease, unpack(scores))) == 'number' then return true end
  redis.call('LTRIM', active, #ids, -1)
  return false
end
