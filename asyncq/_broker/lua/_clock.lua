-- clock: Unix seconds with a fraction, by the clock of Redis. No other clock decides anything.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
