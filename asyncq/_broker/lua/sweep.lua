-- sweep: remove completed tasks whose time is over, and the oldest of too many archived ones.
--
-- INCLUDE read_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE begin
-- INCLUDE lock_of
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

local function delete(from, task, locks, id)
  local lock = lock_of(task, read_task(task, 'unique')[1], locks, id)
  if lock then redis.call('DEL', lock) end
  if redis.call('DEL', task) == 0 then confirm(task, from) end
end

-- Returns what was removed: what is on its way to another node of a cluster is left for the next sweep.
local function remove(from, flow, tasks, locks, ids, kind)
  local removed = {}
  for _, id in ipairs(ids) do
    if pcall(delete, from, tasks .. id, locks, id) then removed[#removed + 1] = id end
  end
  if #removed > 0 then
    redis.call('ZREM', from, unpack(removed))
    redis.pcall('HINCRBY', flow, kind, #removed)
  end
  return removed
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
  over = remove(completed, flow, tasks, locks, over, 'reaped')
  left_to_reap = left_to_reap - #over

  local dropped = remove(archived, flow, tasks, locks, too_old_or_too_many(archived), 'trimmed')
  left_to_drop = left_to_drop - #dropped

  reply[queue] = {#over, unpack(dropped)}
end

begin(KEYS[1])
for queue = 1, #KEYS / PER_QUEUE do
  reply[queue] = {0}
  -- A queue of which a key holds something else than it should must not spoil the others.
  pcall(sweep, queue)
end
return reply
