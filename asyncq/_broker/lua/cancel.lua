-- cancel: ask the server that runs a task to stop it.
--
-- KEYS  task        Q t:<id>         hash
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     prefix of the servers' channels
-- REPLY requested | missing | the state of the task, when it is not active
--
-- The wish is bound to the delivery at hand. It is sent as a message, and stays in the hash for
-- the lease keeper to find in case the message was missed.
local f = redis.call('HMGET', KEYS[1], 'state', 'delivery', 'msg')
if not f[3] then return 'missing' end
if f[1] ~= 'active' then return f[1] or 'pending' end
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('HDEL', KEYS[1], 'cancel')
redis.call('HSET', KEYS[1], 'cancel', f[2])
local server = string.match(f[2], '^(.*):%d+$')
redis.call('PUBLISH', ARGV[2] .. server, 'cancel ' .. f[2])
return 'requested'
