-- release: give slots of a semaphore back, or places among those who wait, and call the next ones.
--
-- INCLUDE clock
-- INCLUDE call_next
--
-- KEYS  holders     S                zset
-- KEYS  queue       S:queue          zset
-- KEYS  standing    S:standing       zset
-- KEYS  parked      S:parked         zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     prefix of the owners' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  ...         tokens
-- REPLY how many slots were given back
--
-- A waiter that leaves may have been called already, so it passes the call on. Servers that have
-- tasks for a slot are called when nobody waits: who waits holds up something, a task that was put
-- back does not.
local holders, queue, standing, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local in_cluster = ARGV[3] == '1'
local now = clock()
local freed, left = 0, 0
for i = 4, #ARGV do
  freed = freed + redis.call('ZREM', holders, ARGV[i])
  left = left + redis.call('ZREM', queue, ARGV[i])
  redis.call('ZREM', standing, ARGV[i])
end
local count = freed + left
count = count - call_next(queue, standing, ARGV[2], count, in_cluster)
for _ = 1, 100 do
  if count <= 0 then break end
  local server = redis.call('ZPOPMIN', parked)
  if #server == 0 then break end
  if tonumber(server[2]) >= now then
    local heard = redis.call('PUBLISH', ARGV[2] .. server[1], 'room ' .. holders)
    if heard > 0 or in_cluster then count = count - 1 end
  end
end
return freed
