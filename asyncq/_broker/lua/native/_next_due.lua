-- next_due: the earliest time for which a task waits in `scheduled` or `retry`, if any does.
local function next_due(zset)
  return tonumber(redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')[2] or '')
end
