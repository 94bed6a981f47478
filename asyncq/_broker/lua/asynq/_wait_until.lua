-- wait_until: put an id among those that wait for a time, `scheduled` or `retry`.
--
-- Go reads whole seconds there. It gets the next one, never one that is too early; the very moment stands
-- in a set of our own, unless it is a whole second. What is left there of an id that has gone does no harm.
-- Where that set cannot be written the task is due at the second: nothing may be half done for want of it.
local function wait_until(zset, due, id)
  local second = math.ceil(due)
  redis.call('ZADD', zset, second, id)
  if second == due then
    redis.pcall('ZREM', zset .. ':moments', id)
  else
    redis.pcall('ZADD', zset .. ':moments', string.format('%.6f', due), id)
  end
end
