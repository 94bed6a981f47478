-- recover: take back tasks whose lease ran out.
--
-- INCLUDE clock
-- INCLUDE wake
--
-- KEYS  ...         for each queue: Q lease, Q pending, Q archived, Q waiting, Q flow
-- ARGV  again       '1' when this call was sent before
-- ARGV  limit       tasks to take back at the most
-- ARGV  max_lost    a task that lost so many leases is archived
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  expected    Unix seconds by Redis' clock at which this call should run; 0 to take nothing back
-- ARGV  ...         for each queue: prefix of its task hashes
-- REPLY [now, on_time | late, seconds until the next lease runs out or '',
--       then per task: queue number, id, word, leases lost]; the word is pending | archived | vanished
--
-- A call that arrives late has waited in a server that was frozen, restarted or cut off. The
-- servers whose leases ran out in that time could not extend them: they get the time to.
--
-- They go to the front: they have waited once already. Retries are not touched, since nobody
-- knows that the handler failed.
local PER_QUEUE = 5
local now = clock()
local left = tonumber(ARGV[2])
local next_end
local TOLERANCE = 1
local expected = tonumber(ARGV[6])
local late = expected > 0 and now - expected > TOLERANCE
local reply = {tostring(now), late and 'late' or 'on_time', ''}
if late or expected == 0 then left = 0 end

local function recover(queue, base, id)
  local task = ARGV[6 + queue] .. id
  local word, lost = 'vanished', 0
  redis.call('ZREM', KEYS[base + 1], id)
  if redis.call('HEXISTS', task, 'msg') == 0 then
    redis.call('DEL', task)
    redis.call('HINCRBY', KEYS[base + 5], 'vanished', 1)
  else
    lost = redis.call('HINCRBY', task, 'lost', 1)
    redis.call('HDEL', task, 'delivery', 'cancel')
    if lost >= tonumber(ARGV[3]) then
      word = 'archived'
      redis.call('HSET', task, 'state', word, 'failed_at', now, 'reason', 'lost',
        'error', 'the server that ran it went away, ' .. lost .. ' times')
      redis.call('ZADD', KEYS[base + 3], now, id)
    else
      word = 'pending'
      redis.call('HDEL', task, 'state')
      redis.call('RPUSH', KEYS[base + 2], id)
      wake(KEYS[base + 4], ARGV[4], 1, ARGV[5] == '1', now)
    end
  end
  reply[#reply + 1] = queue
  reply[#reply + 1] = id
  reply[#reply + 1] = word
  reply[#reply + 1] = lost
end

for queue = 1, #KEYS / PER_QUEUE do
  local base = (queue - 1) * PER_QUEUE
  local ended = {}
  if left > 0 then ended = redis.call('ZRANGEBYSCORE', KEYS[base + 1], '-inf', now, 'LIMIT', 0, left) end
  for _, id in ipairs(ended) do recover(queue, base, id) end
  left = left - #ended
  local first = redis.call('ZRANGE', KEYS[base + 1], 0, 0, 'WITHSCORES')[2]
  if first and (not next_end or tonumber(first) < next_end) then next_end = tonumber(first) end
end
if next_end then reply[3] = tostring(math.max(0, next_end - now)) end
return reply
