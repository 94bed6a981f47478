-- go_server: put the record of a server, and those of the tasks that it runs, where Go's tools look for them.
--
-- Both at once, and in the place of those before. The first write is one that Redis refuses when its memory
-- is full: then all stays as it was, and expires.
--
-- KEYS  server     asynq:servers:{<host>:<pid>:asyncq-<server>}   string
-- KEYS  workers    asynq:workers:{<host>:<pid>:asyncq-<server>}   hash
-- ARGV  again      '1' when this call was sent before; the same twice is the same once
-- ARGV  seconds    after which both expire
-- ARGV  record     ServerInfo, protobuf
-- ARGV  worker...  by turns the id of a task and its WorkerInfo, protobuf
-- REPLY ok
local PAIRS_AT_ONCE = 500
local server = KEYS[1]
local workers = KEYS[2]
redis.call('SET', server, ARGV[3], 'EX', ARGV[2])
redis.call('DEL', workers)
for first = 4, #ARGV, 2 * PAIRS_AT_ONCE do
  redis.call('HSET', workers, unpack(ARGV, first, math.min(first + 2 * PAIRS_AT_ONCE - 1, #ARGV)))
end
redis.call('EXPIRE', workers, ARGV[2])
return 'ok'
