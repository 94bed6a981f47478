-- announce: put the name of a queue that has tasks into the set of all queues, also when memory is full.
--
-- KEYS  queues      queues           set
-- ARGV  again       '1' when this call was sent before
-- ARGV  name        of the queue
-- REPLY announced
--
-- Its tasks were let in, and tools look in this set only: a full Redis, which looks at the first write and
-- lets the others through, must not leave them unseen (ADR 9).
redis.call('SREM', KEYS[1], '')
redis.call('SADD', KEYS[1], ARGV[2])
return 'announced'
