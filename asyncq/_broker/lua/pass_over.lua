-- pass_over: say of times of an entry that nobody enqueued that nobody will, and why.
--
-- INCLUDE clock
-- INCLUDE note_skip
-- INCLUDE remember
--
-- KEYS  tick    Q tick:<entry>   hash
-- ARGV  again   '1' when this call was sent before
-- ARGV  after   the last time that was over as far as the scheduler knows, Unix seconds; '' if none is known
-- ARGV  last    the last one of those that are passed over
-- ARGV  reason  a word
-- ARGV  keep    seconds to remember it
-- REPLY done | moved (another scheduler has had a time meanwhile; nothing was written)
--       | early (it has not come yet, so the clock of the scheduler is wrong; nothing was written)
local tick, after, last = KEYS[1], ARGV[2], ARGV[3]
local now = clock()
-- Times that were missed have come; one that failed may come a little early, as any that is enqueued.
if tonumber(last) > now + (ARGV[4] == 'failed' and 60 or 0) then return 'early' end
local at, kept = unpack(redis.call('HMGET', tick, 'at', 'kept'))
-- By the sending before, or by another scheduler that came to the same.
if at == last then return 'done' end
if (at or '') ~= after then return 'moved' end
remember(tick, last, kept, tonumber(ARGV[5]), now)
note_skip(tick, ARGV[4], at or 0, last, now)
return 'done'
