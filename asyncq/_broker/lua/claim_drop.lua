-- claim_drop: give a claim back, so that others may take it.
--
-- KEYS  lock      <name>              string
-- KEYS  story     A:claim:{<name>}    hash
-- ARGV  again     '1' when this call was sent before
-- ARGV  lease     what the lock holds if it is ours
-- ARGV  failed    '1' when what was claimed failed, which is counted
-- ARGV  remember  seconds to remember that, after this
-- REPLY how often it failed by now
--
-- A failure is counted once for each lease, however often this is sent, and also when the lease was lost.
local lock, story = KEYS[1], KEYS[2]
local lease = ARGV[2]
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('HDEL', story, '')
if redis.call('GET', lock) == lease then redis.call('DEL', lock) end
if ARGV[3] == '1' and redis.call('HGET', story, 'failed_by') ~= lease then
  redis.call('HINCRBY', story, 'failures', 1)
  redis.call('HSET', story, 'failed_by', lease)
  redis.call('EXPIRE', story, ARGV[4])
end
return tonumber(redis.call('HGET', story, 'failures') or '0')
