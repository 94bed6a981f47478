-- call_next: tell those who have waited longest for a slot to come and ask again, so many of them.
--
-- A waiter is called by its token, on the channel of its owner: what stands before the last colon.
-- One whom nobody hears is dead and is dropped. In a cluster the number of listeners is known to
-- each node for itself only, so there a dead one is dropped when its time in `standing` is over.
-- Returns how many were called.
local function call_next(queue, standing, channel, count, in_cluster)
  local called = 0
  for _ = 1, 100 do
    local token = called < count and redis.call('ZRANGE', queue, called, called)[1]
    if not token then break end
    local heard = redis.call('PUBLISH', channel .. string.match(token, '^(.*):'), 'slot ' .. token)
    if heard > 0 or in_cluster then
      called = called + 1
    else
      redis.call('ZREM', queue, token)
      redis.call('ZREM', standing, token)
    end
  end
  return called
end
