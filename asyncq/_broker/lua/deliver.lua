-- deliver: hand ready tasks of several queues to one server, under its lease.
--
-- INCLUDE hold
-- INCLUDE let_go
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE begin
-- INCLUDE wake
-- INCLUDE whole
--
-- KEYS  receipt     Q receipt:<server>.<lane>, of the first queue
-- KEYS  ...         for each queue: Q pending, Q lease, Q paused, Q waiting, Q flow
-- ARGV  again       '1' when this call was sent before
-- ARGV  server      id of the server
-- ARGV  number      of the first delivery of this call; the next ones follow
-- ARGV  want        how many tasks at the most
-- ARGV  lease       seconds
-- ARGV  stand       seconds for which the server stands in `waiting` when it got less than it wants
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  ...         for each queue: quota, prefix of its task hashes
-- REPLY [now, then per task: queue number, id, msg, history]; a history is '' or "retried deliveries lost"
--       and then when it became due, '-' if it had been handed out already after that, or nothing.
--       The deliveries are numbered in this order. An empty id stands for one that is no longer ours.
--
-- Each queue gives up to its quota first; what is left of `want` is then taken in the order of
-- the queues. The keys of the tasks cannot be declared: nobody knows them before they are popped.
-- They have the prefix, and so the slot, of their queue.
local call = redis.call
local now = clock()
local server, number, want = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local token = server .. ':'
local queues = (#KEYS - 1) / 5
local reply = {tostring(now)}
local n = 1

local function history(retried, deliveries, lost, since)
  return whole(retried) .. ' ' .. whole(deliveries) .. ' ' .. whole(lost) .. since
end

local function since_of(deliveries, ready_at, delivered_at)
  local due = tonumber(ready_at or '')
  if due and due > (tonumber(delivered_at or '') or 0) then return string.format(' %.6f', due) end
  return whole(deliveries) ~= '0' and ' -' or ''
end

local receipt = call('GET', KEYS[1])
if receipt then
  local sent = cmsgpack.unpack(receipt)
  -- The first sending of a call may arrive after the second, from the buffer of a server that was
  -- frozen meanwhile. Nobody waits for its answer: it must not take tasks.
  if sent[1] > number then return reply end
  if sent[1] == number then
    for i = 2, #sent, 2 do
      local id, since = sent[i + 1], ''
      if type(id) == 'table' then id, since = id[1], id[2] end
      local task = ARGV[8 + sent[i] * 2] .. id
      local f = read_task(task, 'delivery', 'msg', 'retried', 'deliveries', 'lost')
      if not f[1] then confirm(task, KEYS[1]) end
      local mine = f[1] == token .. (number + i / 2 - 1)
      reply[n + 1], reply[n + 2], reply[n + 3] = sent[i], mine and id or '', mine and f[2] or ''
      reply[n + 4] = mine and history(f[3], tostring(whole(f[4]) - 1), f[5], since) or ''
      n = n + 4
    end
    return reply
  end
end

local given = 0
local sent = {number}
local ends_at = now + tonumber(ARGV[5])

local function give(queue, tasks, id)
  local task = tasks .. id
  -- Not `call`: an error here would end the script with tasks handed out that nobody hears of.
  local f = read_task(task, 'msg', 'deliveries', 'ready_at')
  local message, deliveries, ready_at = f[1], f[2], f[3]
  if not message then
    -- On its way to another node of a cluster it is not lost: it comes back when its lease is over.
    if not pcall(confirm, task, KEYS[queue * 5 - 2]) then return end
    -- The hash vanished, or is something else (somebody worked by hand): there is nothing to run.
    if not f.err then call('DEL', task) end
    let_go(KEYS[queue * 5 - 2], id)
    redis.pcall('HINCRBY', KEYS[queue * 5 + 1], 'vanished', 1)
    return
  end
  local past, since = '', ''
  if deliveries then
    local g = read_task(task, 'retried', 'lost', 'delivered_at')
    since = since_of(deliveries, ready_at, g[3])
    past = history(g[1], deliveries, g[2], since)
  elseif ready_at then
    since = since_of(nil, ready_at)
    past = history(nil, nil, nil, since)
  end
  write_task(task, 'state', 'active', 'delivery', token .. (number + given),
    'deliveries', whole(deliveries) + 1, 'delivered_at', reply[1])
  given = given + 1
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = queue, id, message, past
  n = n + 4
  -- This delivery writes over what tells since when it could be taken.
  sent[given * 2], sent[given * 2 + 1] = queue, since == '' and id or {id, since}
end

-- From here on the ids are in `lease`, whatever becomes of this script. A queue of which a key holds
-- something else than it should gives nothing: it must not spoil the others.
local function claim(queue, ids)
  if hold(KEYS[queue * 5 - 2], ends_at, ids) then return true end
  for i = #ids, 1, -1 do call('RPUSH', KEYS[queue * 5 - 3], ids[i]) end
  return false
end

-- Ids whose hash vanished are not handed out, and must not keep Redis busy for long either.
local attempts = want + 1000
local exhausted = {}
local function take(queue, limit)
  limit = math.min(limit, want - given)
  local tasks = ARGV[8 + queue * 2]
  while limit > 0 and attempts > 0 and not exhausted[queue] do
    local ids = redis.pcall('RPOP', KEYS[queue * 5 - 3], math.min(limit, attempts, 1000))
    if not ids or ids.err or #ids == 0 or not claim(queue, ids) then
      exhausted[queue] = true
      return
    end
    attempts = attempts - #ids
    local before = given
    for i = 1, #ids do give(queue, tasks, ids[i]) end
    limit = limit - (given - before)
  end
end

for queue = 1, queues do
  if call('EXISTS', KEYS[queue * 5 - 1]) == 1 then exhausted[queue] = true end
end
for queue = 1, queues do take(queue, tonumber(ARGV[7 + queue * 2])) end
for queue = 1, queues do take(queue, want) end
-- Perhaps nothing was popped: all are paused, or Redis refused it.
if given == 0 then begin(KEYS[5]) end

for queue = 1, queues do
  if given < want then
    redis.pcall('ZADD', KEYS[queue * 5], now + tonumber(ARGV[6]), server)
  else
    redis.pcall('ZREM', KEYS[queue * 5], server)
  end
  -- There is more than it took: whoever idles is to know. Several messages may have been sent to one
  -- server with one free slot.
  local left = exhausted[queue] and 0 or redis.pcall('LLEN', KEYS[queue * 5 - 3])
  if type(left) == 'number' and left > 0 then wake(KEYS[queue * 5], ARGV[7], 1, ARGV[8] == '1', now) end
end
call('SET', KEYS[1], cmsgpack.pack(sent), 'EX', math.ceil(tonumber(ARGV[5])))
return reply
