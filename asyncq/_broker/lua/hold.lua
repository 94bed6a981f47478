-- hold: go on holding slots of a semaphore.
--
-- INCLUDE clock
--
-- KEYS  holders     S                zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  lease       seconds from now
-- ARGV  ...         tokens
-- REPLY [index ...] of the tokens that hold no slot any more
--
-- A slot that ran out but was cleared away by nobody is prolonged like any other: so nobody has
-- taken it either. One that is gone is not taken again here: its holder may just have given it back.
local holders = KEYS[1]
local lease = tonumber(ARGV[2])
local now = clock()
local lost, alive = {}, {}
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('ZREM', holders, '')
for i = 3, #ARGV do
  if redis.call('ZSCORE', holders, ARGV[i]) then
    alive[#alive + 1] = now + lease
    alive[#alive + 1] = ARGV[i]
  else
    lost[#lost + 1] = i - 2
  end
end
if #alive > 0 then
  redis.call('ZADD', holders, unpack(alive))
  local last = redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')[2]
  redis.call('EXPIRE', holders, math.ceil(tonumber(last) - now) + 60)
end
return lost
