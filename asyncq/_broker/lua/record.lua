-- record: note what became of one time of an entry, and forget the oldest notes beyond a number.
--
-- The same note twice is one note, so it may be sent again. The first write is one that Redis
-- refuses when its memory is full.
--
-- KEYS  history  <prefix>scheduler_history:{<entry>}   zset
-- ARGV  again    '1' when this call was sent before
-- ARGV  event    the note, msgpack
-- ARGV  at       when the time was due, Unix seconds
-- ARGV  most     how many notes are kept
-- ARGV  seconds  after which a history that nothing is added to is forgotten
-- REPLY ok
local history = KEYS[1]
redis.call('ZADD', history, ARGV[3], ARGV[2])
redis.call('ZREMRANGEBYRANK', history, 0, -tonumber(ARGV[4]) - 1)
-- What is noted in between, of an operator, does not know when the entry is due again.
if redis.call('PTTL', history) < 1000 * tonumber(ARGV[5]) then redis.call('EXPIRE', history, ARGV[5]) end
return 'ok'
