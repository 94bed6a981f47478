-- unpause: let a queue be taken from again, and wake servers for what has gathered.
--
-- INCLUDE clock
-- INCLUDE wake
--
-- KEYS  paused      Q paused         string
-- KEYS  pending     Q pending        list
-- KEYS  waiting     Q waiting        zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- REPLY unpaused | already
--
-- Sent again it may find its own work, and takes it for that; the servers are woken once more, since the
-- messages of the first time may not have been heard.
local removed = redis.call('DEL', KEYS[1])
if removed == 0 and ARGV[1] ~= '1' then return 'already' end
local ready = redis.pcall('LLEN', KEYS[2])
if type(ready) == 'number' then wake(KEYS[3], ARGV[2], ready, ARGV[3] == '1', clock()) end
return 'unpaused'
