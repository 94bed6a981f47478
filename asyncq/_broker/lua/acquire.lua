-- acquire: take a slot of a semaphore, or a place among those who wait for one.
--
-- INCLUDE clock
-- INCLUDE call_next
--
-- KEYS  holders     S                zset
-- KEYS  queue       S:queue          zset
-- KEYS  standing    S:standing       zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  token       of the slot to be, <owner>:<number>
-- ARGV  maximum     slots that there are, as this caller sees it
-- ARGV  lease       seconds for which the slot is held unless it is prolonged
-- ARGV  stand       seconds to stand among the waiters; 0 not to wait
-- ARGV  channel     prefix of the owners' channels
-- ARGV  in_cluster  '1' or ''
-- REPLY [held | full, seconds until a slot gets free by itself or '' for never]
--
-- First come, first served: a free slot is for those who stand in `queue` already. A caller whose
-- token holds a slot has it prolonged, so a call that is sent again does not take a second one.
local holders, queue, standing = KEYS[1], KEYS[2], KEYS[3]
local token, lease, stand = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local KEEP = 60
local now = clock()
-- The first write takes no memory, so that a full Redis lets the rest through (see _begin.lua): what
-- needs a slot must be able to finish.
redis.call('ZREMRANGEBYSCORE', holders, '-inf', now)
local dead = redis.call('ZRANGEBYSCORE', standing, '-inf', now, 'LIMIT', 0, 100)
if #dead > 0 then
  redis.call('ZREM', queue, unpack(dead))
  redis.call('ZREM', standing, unpack(dead))
end

local function leave_queue()
  redis.call('ZREM', queue, token)
  redis.call('ZREM', standing, token)
end

local room = tonumber(ARGV[3]) - redis.call('ZCARD', holders)
local ahead = redis.call('ZRANK', queue, token) or redis.call('ZCARD', queue)
if redis.call('ZSCORE', holders, token) or room > ahead then
  redis.call('ZADD', holders, now + lease, token)
  leave_queue()
  local last = redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')[2]
  redis.call('EXPIRE', holders, math.ceil(tonumber(last) - now) + KEEP)
  return {'held', ''}
end
if stand > 0 then
  redis.call('ZADD', queue, 'NX', now, token)
  redis.call('ZADD', standing, now + stand, token)
  redis.call('EXPIRE', queue, math.ceil(stand) + KEEP)
  redis.call('EXPIRE', standing, math.ceil(stand) + KEEP)
else
  leave_queue()
end
-- Somebody ahead may have missed the message, or be dead.
if room > 0 then call_next(queue, standing, ARGV[6], room, ARGV[7] == '1') end
local first = redis.call('ZRANGE', holders, 0, 0, 'WITHSCORES')[2]
return {'full', first and tostring(math.max(0, tonumber(first) - now)) or ''}
