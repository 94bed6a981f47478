-- leave: take ids out of a sorted set of tasks; returns how many were there.
--
-- With them go their moments, if it is one in which they wait for a time (see _wait_until.lua).
local function leave(zset, ...)
  if string.find(zset, '}:scheduled$') or string.find(zset, '}:retry$') then
    redis.pcall('ZREM', zset .. ':moments', ...)
  end
  return redis.call('ZREM', zset, ...)
end
