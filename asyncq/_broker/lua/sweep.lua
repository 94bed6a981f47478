-- sweep: remove completed tasks whose time is over, and the oldest of too many archived ones.
--
-- INCLUDE clock
--
-- KEYS  ...         for each queue: Q completed, Q archived, Q flow
-- ARGV  again       '1' when this call was sent before
-- ARGV  limit       tasks to remove at the most, of each kind, in all queues together
-- ARGV  max_age     seconds that an archived task is kept
-- ARGV  max_count   how many archived tasks are kept in each queue
-- ARGV  ...         for each queue: prefix of its task hashes, prefix of its unique locks
-- REPLY [[reaped, id of each archived task that was dropped ...] for each queue]
--
-- All queues in one call, because an idle server should cost the same however many it serves. Task
-- hashes and locks cannot be declared: their names are read here. They have the slot of their queue.
local PER_QUEUE = 3
local now = clock()
local left_to_reap, left_to_drop = tonumber(ARGV[2]), tonumber(ARGV[2])

local function remove(from, flow, tasks, locks, ids, kind)
  if #ids == 0 then return end
  redis.call('ZREM', from, unpack(ids))
  for _, id in ipairs(ids) do
    local task = tasks .. id
    local suffix = redis.pcall('HGET', task, 'unique')
    if type(suffix) == 'string' and redis.pcall('GET', locks .. suffix) == id then
      redis.call('DEL', locks .. suffix)
    end
    redis.call('DEL', task)
  end
  redis.pcall('HINCRBY', flow, kind, #ids)
end

local function too_old_or_too_many(archived)
  if left_to_drop == 0 then return {} end
  local old = redis.call('ZRANGEBYSCORE', archived, '-inf', now - tonumber(ARGV[3]), 'LIMIT', 0, left_to_drop)
  if #old > 0 then return old end
  local excess = redis.call('ZCARD', archived) - tonumber(ARGV[4])
  if excess <= 0 then return {} end
  return redis.call('ZRANGE', archived, 0, math.min(excess, left_to_drop) - 1)
end

local reply = {}
local function sweep(queue)
  local base = (queue - 1) * PER_QUEUE
  local completed, archived, flow = KEYS[base + 1], KEYS[base + 2], KEYS[base + 3]
  local tasks, locks = ARGV[3 + queue * 2], ARGV[4 + queue * 2]

  local over = {}
  if left_to_reap > 0 then
    over = redis.call('ZRANGEBYSCORE', completed, '-inf', now, 'LIMIT', 0, left_to_reap)
  end
  remove(completed, flow, tasks, locks, over, 'reaped')
  left_to_reap = left_to_reap - #over

  local dropped = too_old_or_too_many(archived)
  remove(archived, flow, tasks, locks, dropped, 'trimmed')
  left_to_drop = left_to_drop - #dropped

  reply[queue] = {#over, unpack(dropped)}
end

for queue = 1, #KEYS / PER_QUEUE do
  reply[queue] = {0}
  -- A queue of which a key holds something else than it should must not spoil the others.
  pcall(sweep, queue)
end
return reply
