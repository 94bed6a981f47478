-- holders: say who holds slots of a semaphore, and how many wait.
--
-- INCLUDE clock
--
-- KEYS  holders     S                zset
-- KEYS  standing    S:standing       zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  limit       holders to name at the most
-- REPLY [how many hold one, how many wait, then for each holder: token, seconds until it runs out]
local now = clock()
local found = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[2]))
local reply = {redis.call('ZCOUNT', KEYS[1], now, '+inf'), redis.call('ZCOUNT', KEYS[2], now, '+inf')}
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = tostring(tonumber(found[i + 1]) - now)
end
return reply
