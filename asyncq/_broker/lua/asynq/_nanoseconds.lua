-- nanoseconds: a time as asynq writes it into `pending_since`; that of now if none is given.
local this_instant
local function nanoseconds(time)
  if time then return string.format('%.0f000', time * 1000000) end
  if not this_instant then
    local now = redis.call('TIME')
    this_instant = string.format('%s%06d000', now[1], now[2])
  end
  return this_instant
end
