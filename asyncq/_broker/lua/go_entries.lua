-- go_entries: put the entries of a scheduler where Go's tools look for them, in the place of those before.
--
-- The first write is one that Redis refuses when its memory is full: then all stays as it was, and expires.
-- So the new ones are put behind the old ones first.
--
-- KEYS  entries   asynq:schedulers:{<host>:<pid>:asyncq-<scheduler>}   list
-- ARGV  again     '1' when this call was sent before; the same twice is the same once
-- ARGV  seconds   after which they expire
-- ARGV  entry...  SchedulerEntry, protobuf
-- REPLY ok
local AT_ONCE = 1000
local entries = KEYS[1]
local old = redis.pcall('LLEN', entries)
if #ARGV == 2 or type(old) ~= 'number' then
  -- None, or something else than a list.
  redis.call('DEL', entries)
  old = 0
end
for first = 3, #ARGV, AT_ONCE do
  redis.call('RPUSH', entries, unpack(ARGV, first, math.min(first + AT_ONCE - 1, #ARGV)))
end
if old > 0 then redis.call('LTRIM', entries, old, -1) end
redis.call('EXPIRE', entries, ARGV[2])
return 'ok'
