-- step_aside: a server that cannot take tasks leaves its place, and wakes another if there is work.
--
-- INCLUDE clock
-- INCLUDE wake
--
-- KEYS  ...         for each queue: Q pending, Q waiting
-- ARGV  again       '1' when this call was sent before
-- ARGV  server      id of the server
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- REPLY ok
--
-- Without this a message to a server that is full or leaving would be the end of it, and the task
-- it was about would wait for the safety poll of another server.
local now = clock()
for i = 1, #KEYS, 2 do
  redis.pcall('ZREM', KEYS[i + 1], ARGV[2])
  local left = redis.pcall('LLEN', KEYS[i])
  if type(left) == 'number' and left > 0 then wake(KEYS[i + 1], ARGV[3], 1, ARGV[4] == '1', now) end
end
return 'ok'
