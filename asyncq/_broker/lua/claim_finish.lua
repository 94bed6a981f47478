-- claim_finish: say of a thing that it is done, so that further copies of it are thrown away.
--
-- KEYS  lock      <name>              string
-- KEYS  story     A:claim:{<name>}    hash
-- ARGV  again     '1' when this call was sent before
-- ARGV  mark      what the lock is to hold: 'asyncq:done:' and a token
-- ARGV  keep      milliseconds to remember it
-- REPLY done
--
-- It is done, whoever has the claim by now: a lease of somebody else, who began as ours had run out, gives
-- way. The lock of a consumer in Go stays, since that says the same.
local lock, story = KEYS[1], KEYS[2]
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('DEL', story)
local found = redis.call('GET', lock)
if not found or string.sub(found, 1, 7) == 'asyncq:' then
  redis.call('SET', lock, ARGV[2], 'PX', ARGV[3])
end
return 'done'
