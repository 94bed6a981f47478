-- leave: take ids out of a sorted set of tasks; returns how many were there.
local function leave(zset, ...)
  return redis.call('ZREM', zset, ...)
end
