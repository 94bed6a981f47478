-- claim_renew: go on holding a claim.
--
-- INCLUDE clock
--
-- KEYS  lock      <name>              string
-- KEYS  story     A:claim:{<name>}    hash
-- ARGV  again     '1' when this call was sent before
-- ARGV  lease     what the lock holds if it is ours
-- ARGV  until     Unix milliseconds by the clock of this server: when the lease ends
-- ARGV  longest   milliseconds after which it ends in any case, should this clock have been put back
-- ARGV  remember  seconds to remember that it was begun, after this
-- REPLY [word, Unix milliseconds now]; the words are
-- REPLY   renewed  it is held until then
-- REPLY   lost     somebody else has it, or it is over
-- REPLY   late     the lease would be over already, or this clock was not known: ask again
--
-- A lock that is gone was taken by nobody else, so it is taken again.
local lock, story = KEYS[1], KEYS[2]
local lease = ARGV[2]
local now = math.floor(clock() * 1000)
local left = math.min(tonumber(ARGV[3]) - now, tonumber(ARGV[4]))
local found = redis.call('GET', lock)
if found and found ~= lease then return {'lost', now} end
if left <= 0 then return {'late', now} end
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('EXPIRE', story, ARGV[5])
redis.call('SET', lock, lease, 'PX', left)
return {'renewed', now}
