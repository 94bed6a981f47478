-- vacancy: look for free slots on behalf of a server that has tasks for them.
--
-- INCLUDE clock
--
-- KEYS  holders     S                zset
-- KEYS  queue       S:queue          zset
-- KEYS  standing    S:standing       zset
-- KEYS  parked      S:parked         zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  server      id of the server
-- ARGV  maximum     slots that there are, as this caller sees it
-- ARGV  stand       seconds for which the server wants to be told of free slots; 0 for not any more
-- REPLY [free slots that nobody waits for, seconds until a slot gets free by itself or '' for never]
local holders, queue, standing, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local stand = tonumber(ARGV[4])
local now = clock()
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('ZREMRANGEBYSCORE', holders, '-inf', now)
local dead = redis.call('ZRANGEBYSCORE', standing, '-inf', now, 'LIMIT', 0, 100)
if #dead > 0 then
  redis.call('ZREM', queue, unpack(dead))
  redis.call('ZREM', standing, unpack(dead))
end
if stand > 0 then
  redis.call('ZADD', parked, now + stand, ARGV[2])
  redis.call('EXPIRE', parked, math.ceil(stand) + 60)
else
  redis.call('ZREM', parked, ARGV[2])
end
local room = tonumber(ARGV[3]) - redis.call('ZCARD', holders) - redis.call('ZCARD', queue)
local first = redis.call('ZRANGE', holders, 0, 0, 'WITHSCORES')[2]
return {math.max(0, room), first and tostring(math.max(0, tonumber(first) - now)) or ''}
