-- due_in: the ids in `scheduled` or `retry` whose time has come, each with it; `limit` of them at the most.
local function due_in(zset, now, limit)
  return redis.call('ZRANGEBYSCORE', zset, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
end
