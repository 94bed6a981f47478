-- wait_until: put an id among those that wait for a time, `scheduled` or `retry`.
local function wait_until(zset, due, id)
  redis.call('ZADD', zset, due, id)
end
