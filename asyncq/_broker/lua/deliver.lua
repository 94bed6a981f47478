-- deliver: hand ready tasks of several queues to one server, under its lease.
--
-- INCLUDE clock
--
-- KEYS  receipt     Q receipt:<server>, of the first queue
-- KEYS  ...         for each queue: Q pending, Q lease, Q paused, Q waiting, Q flow
-- ARGV  again       '1' when this call was sent before
-- ARGV  server      id of the server
-- ARGV  number      of the first delivery of this call; the next ones follow
-- ARGV  want        how many tasks at the most
-- ARGV  lease       seconds
-- ARGV  stand       seconds for which the server stands in `waiting` when it got less than it wants
-- ARGV  ...         for each queue: quota, prefix of its task hashes
-- REPLY [now, task ...]; a task is [queue number, id, delivery number, msg, retried, deliveries, lost]
--
-- Each queue gives up to its quota first; what is left of `want` is then taken in the order of
-- the queues. The keys of the tasks cannot be declared: nobody knows them before they are popped.
-- They have the prefix, and so the slot, of their queue.
local now = clock()
local server, number, want = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local queues = (#KEYS - 1) / 5
local reply = {tostring(now)}

local receipt = redis.call('GET', KEYS[1])
if receipt then
  local sent = cmsgpack.unpack(receipt)
  -- The first sending of a call may arrive after the second, from the buffer of a server that was
  -- frozen meanwhile. Nobody waits for its answer: it must not take tasks.
  if sent[1] > number then return reply end
  if sent[1] == number then
    for i = 2, #sent, 3 do
      local queue, id, delivery = sent[i], sent[i + 1], sent[i + 2]
      local f = redis.call('HMGET', ARGV[6 + queue * 2] .. id, 'msg', 'retried', 'deliveries', 'lost', 'delivery')
      if f[5] == server .. ':' .. delivery then
        reply[#reply + 1] = {queue, id, delivery, f[1], f[2] or '0', tonumber(f[3]) - 1, f[4] or '0'}
      end
    end
    return reply
  end
end

local given = 0
local sent = {number}
local leases = {}

local function give(queue, id)
  local task = ARGV[6 + queue * 2] .. id
  local f = redis.call('HMGET', task, 'msg', 'retried', 'deliveries', 'lost')
  if not f[1] then
    -- The hash vanished (somebody deleted it by hand): there is nothing to run.
    redis.call('DEL', task)
    redis.call('HINCRBY', KEYS[queue * 5 + 1], 'vanished', 1)
    return
  end
  local delivery = number + given
  local deliveries = tonumber(f[3] or 0)
  redis.call('HSET', task, 'state', 'active', 'delivery', server .. ':' .. delivery, 'deliveries', deliveries + 1)
  given = given + 1
  local lease = leases[queue]
  lease[#lease + 1] = now + tonumber(ARGV[5])
  lease[#lease + 1] = id
  reply[#reply + 1] = {queue, id, delivery, f[1], f[2] or '0', deliveries, f[4] or '0'}
  sent[#sent + 1] = queue
  sent[#sent + 1] = id
  sent[#sent + 1] = delivery
end

local exhausted = {}
local function take(queue, limit)
  limit = math.min(limit, want - given)
  while limit > 0 and not exhausted[queue] do
    local ids = redis.call('RPOP', KEYS[queue * 5 - 3], math.min(limit, 1000))
    if not ids or #ids == 0 then
      exhausted[queue] = true
      return
    end
    local before = given
    for _, id in ipairs(ids) do give(queue, id) end
    limit = limit - (given - before)
  end
end

for queue = 1, queues do
  leases[queue] = {}
  if redis.call('EXISTS', KEYS[queue * 5 - 1]) == 1 then exhausted[queue] = true end
end
for queue = 1, queues do take(queue, tonumber(ARGV[5 + queue * 2])) end
for queue = 1, queues do take(queue, want) end

for queue = 1, queues do
  local lease = leases[queue]
  for i = 1, #lease, 1000 do
    redis.call('ZADD', KEYS[queue * 5 - 2], unpack(lease, i, math.min(i + 999, #lease)))
  end
  if given < want then
    redis.call('ZADD', KEYS[queue * 5], now + tonumber(ARGV[6]), server)
  else
    redis.call('ZREM', KEYS[queue * 5], server)
  end
end
redis.call('SET', KEYS[1], cmsgpack.pack(sent), 'EX', math.ceil(tonumber(ARGV[5])))
return reply
