-- next_due: the earliest time for which a task waits in `scheduled` or `retry`, if any does.
local function next_due(zset)
  local second = tonumber(redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')[2] or '')
  local time = tonumber(redis.pcall('ZRANGE', zset .. ':moments', 0, 0, 'WITHSCORES')[2] or '')
  return second and math.min(second, time or second)
end
