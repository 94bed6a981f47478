-- claim_take: take the claim on a thing of which several copies come to several consumers.
--
-- INCLUDE clock
--
-- KEYS  lock      <name>              string
-- KEYS  story     A:claim:{<name>}    hash
-- ARGV  again     '1' when this call was sent before
-- ARGV  lease     what the lock is to hold: 'asyncq:lease:' and a token
-- ARGV  until     Unix milliseconds by the clock of this server: when the lease ends
-- ARGV  longest   milliseconds after which it ends in any case, should this clock have been put back
-- ARGV  limit     failures after which it is not taken any more; 0 for none
-- ARGV  remember  seconds to remember that it was begun, after this; 0 not to note it
-- ARGV  anew      '1' to take it after all, with no failures
-- REPLY [word, Unix milliseconds now, number, begun]; the words are
-- REPLY   taken   number is that of its failures, begun '1' when somebody had it before
-- REPLY   held    somebody has a lease; number is how long in milliseconds
-- REPLY   done    it is over, or a consumer in Go has it, whose lock does not tell
-- REPLY   spent   it failed too often; number is how often
-- REPLY   late    the lease would be over already, or this clock was not known: ask again
--
-- The end is an instant and not a time to live: a call that Redis carries out late, when the caller has
-- given up and its copy is with others again, must leave no lease that nobody has.
local lock, story = KEYS[1], KEYS[2]
local lease, limit = ARGV[2], tonumber(ARGV[5])
local now = math.floor(clock() * 1000)
local left = math.min(tonumber(ARGV[3]) - now, tonumber(ARGV[4]))
local found = redis.call('GET', lock)
if found and found ~= lease then
  local is_lease = string.sub(found, 1, 13) == 'asyncq:lease:'
  return {is_lease and 'held' or 'done', now, redis.call('PTTL', lock), ''}
end
if left <= 0 then return {'late', now, 0, ''} end
local failures = tonumber(redis.call('HGET', story, 'failures') or '0')
local begun = redis.call('HEXISTS', story, 'begun_by') == 1
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('HDEL', story, '')
if ARGV[7] == '1' then
  redis.call('HDEL', story, 'failures')
  failures = 0
end
if limit > 0 and failures >= limit then return {'spent', now, failures, '1'} end
redis.call('SET', lock, lease, 'PX', left)
if tonumber(ARGV[6]) > 0 then
  redis.call('HSET', story, 'begun_by', lease)
  redis.call('EXPIRE', story, ARGV[6])
end
return {'taken', now, failures, begun and '1' or ''}
