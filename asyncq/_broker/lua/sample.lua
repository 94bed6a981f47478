-- sample: how much there is to do in queues, for the one server of each that asks first in a minute.
--
-- INCLUDE read_task
-- INCLUDE clock
--
-- KEYS  ...         for each queue: Q minutes, pending, lease, scheduled, retry
-- ARGV  again       '1' when this call was sent before; who was first is so again
-- ARGV  server      id of the server
-- ARGV  keep        seconds for which it is remembered who was first
-- ARGV  largest     bytes; messages up to it are in the reply
-- ARGV  ...         for each queue: prefix of its task hashes
-- REPLY [now, then for each queue that is to be noted: [number, pending, active, delayed, since, message]]
--       since, message   of the task that is taken next; since when it is ready, '' for since it was enqueued
--
-- What is there is added up over all queues, so each must be looked at once. The first write is one that
-- Redis refuses when its memory is full.
local PER_QUEUE = 5
local now = clock()
local mine = math.floor(now / 60) .. ' ' .. ARGV[2]
local minute = string.match(mine, '^%d+ ')
local reply = {tostring(now)}

local function number(...)
  return tonumber(redis.pcall(...)) or 0
end

local function is_first(key)
  local said = redis.pcall('HGET', key, 'sampled')
  if type(said) == 'string' and string.sub(said, 1, #minute) == minute then return said == mine end
  if type(said) == 'table' then return false end
  redis.call('HSET', key, 'sampled', mine)
  if redis.call('PTTL', key) < 1000 * tonumber(ARGV[3]) then redis.call('EXPIRE', key, ARGV[3]) end
  return true
end

local function oldest(pending, tasks)
  local id = redis.pcall('LINDEX', pending, -1)
  if type(id) ~= 'string' then return '', '' end
  local f = read_task(tasks .. id, 'ready_at', 'msg')
  local message = f[2] or ''
  return f[1] or '', #message <= tonumber(ARGV[4]) and message or ''
end

for queue = 1, #KEYS / PER_QUEUE do
  local base = (queue - 1) * PER_QUEUE
  if is_first(KEYS[base + 1]) then
    local since, message = oldest(KEYS[base + 2], ARGV[4 + queue])
    reply[#reply + 1] = {
      queue, number('LLEN', KEYS[base + 2]), number('ZCARD', KEYS[base + 3]),
      number('ZCARD', KEYS[base + 4]) + number('ZCARD', KEYS[base + 5]), since, message
    }
  end
end
return reply
