-- inherit: the times of an entry that were had in another queue, from which it has moved here.
--
-- KEYS  tick   Q tick:<entry>   hash
-- ARGV  again  '1' when this call was sent before
-- ARGV  keep   seconds to remember them
-- ARGV  at     the last time that was over there; '' if none is known
-- ARGV  ...    what was left to do there: field, value, in turn
-- REPLY ok | unusable (the key holds something else)
--
-- Whoever does it once more changes nothing. Schedulers enqueue nothing here before it is done. The first
-- write is one that Redis refuses when its memory is full.
local tick, at = KEYS[1], ARGV[3]
local here = redis.pcall('HGET', tick, 'at')
if type(here) == 'table' then return 'unusable' end
if tonumber(at) and tonumber(at) > (tonumber(here or '') or -1) then redis.call('HSET', tick, 'at', at) end
for i = 4, #ARGV, 2 do redis.call('HSETNX', tick, ARGV[i], ARGV[i + 1]) end
if redis.call('PTTL', tick) < 1000 * tonumber(ARGV[2]) then redis.call('EXPIRE', tick, ARGV[2]) end
return 'ok'
