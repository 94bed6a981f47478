-- nanoseconds: a time as asynq writes it into `pending_since`; that of now if none is given.
local function nanoseconds(time)
  if time then return string.format('%.0f000', time * 1000000) end
  local now = redis.call('TIME')
  return string.format('%s%06d000', now[1], now[2])
end
