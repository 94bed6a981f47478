-- settle: write what became of deliveries.
--
-- INCLUDE bygone
-- INCLUDE clear_task
-- INCLUDE count_retry
-- INCLUDE wait_until
-- INCLUDE let_go
-- INCLUDE moment
-- INCLUDE next_due
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE begin
-- INCLUDE ended
-- INCLUDE lock_of
-- INCLUDE wake
-- INCLUDE whole
-- INCLUDE note_attempt
--
-- KEYS  ...         for each queue: Q lease, pending, retry, scheduled, archived, completed, processed,
--                   failed, processed:<day>, failed:<day>, flow, waiting, awaited
-- KEYS  ...         for each plain success: Q t:<id>
-- KEYS  ...         for each other delivery: Q t:<id>, then its lock if it is unique
-- ARGV  again       '1' when this call was sent before
-- ARGV  queues      how many
-- ARGV  channel     prefix of the servers' channels
-- ARGV  news        channel of all servers
-- ARGV  in_cluster  '1' or ''
-- ARGV  plain       how many plain successes there are
-- ARGV  ...         for each plain success: queue number, id, token
-- ARGV  ...         for each other delivery: queue number, id, token, outcome, detail
-- REPLY [index, word ...] of what could not be written; the word is not_owner, or unusable when a
--       key of its queue holds something else than it should
--
-- A plain success is forgotten: nothing is kept of the task, and it holds no lock. Nearly all
-- deliveries end so, hence the short form. Other outcomes and their details (msgpack):
--   done      [result, unique]                        forgotten
--   complete  [result, unique, retention]             kept in `completed`
--   retry     [error, delay, counts, keep, trace]     to `retry`
--   archive   [error, reason, counts, unlock, keep, trace]
--                                                     to `archived`; perhaps it gives up its lock
--   requeue   ''                                      back to the front of `pending`
--   defer     [delay]                                 to `scheduled`, nothing counted
--   drop      [kind, unique]                          forgotten, counted as `kind`
--
-- Of a delivery that failed, the task keeps a record: that of its last `keep` ones, with their tracebacks.
--
-- If the delivery was to be cancelled, `retry`, `requeue` and `defer` archive the task, with that reason.
--
-- A delivery is settled only while the task carries its token. Settling takes the token away, so
-- the same call sent again finds nothing to do; then `not_owner` says nothing and is not reported.
local PER_QUEUE = 13
local STATISTICS_SECONDS = 90 * 86400
local now = clock()
local call = redis.call
local again, queues, in_cluster, plain = ARGV[1] == '1', tonumber(ARGV[2]), ARGV[5] == '1', tonumber(ARGV[6])
local refused, tallies = {}, {}
local key = queues * PER_QUEUE

begin(KEYS[1])

local function tally(queue)
  local t = tallies[queue]
  if not t then
    t = {settled = {}, gone = {}, done = 0, processed = 0, failed = 0, requeued = 0, flow = {}}
    t.awaited = redis.pcall('EXISTS', KEYS[queue * PER_QUEUE]) == 1
    tallies[queue] = t
  end
  return t
end

-- Before the task is changed.
local function tell(task, how)
  ended(redis.pcall('HGET', task, 'awaited'), how, task)
end

local function forget(t, task, id, kind, unique)
  if t.awaited then tell(task, kind) end
  t.gone[#t.gone + 1] = task
  t.flow[kind] = (t.flow[kind] or 0) + 1
  if unique then
    key = key + 1
    if redis.pcall('GET', KEYS[key]) == id then call('DEL', KEYS[key]) end
  end
end

-- To where it stays.
local function put(task, zset, score, id, ...)
  call('ZADD', zset, score, id)
  write_task(task, ...)
  clear_task(task, 'delivery', 'cancel')
end

-- To where it waits for its time; others are to know if that comes before all other times.
local function put_off(t, task, zset, due, id, ...)
  local first = next_due(zset)
  wait_until(zset, due, id)
  write_task(task, ...)
  clear_task(task, 'delivery', 'cancel')
  if not first or due < first then t.news = true end
end

local function count(t, task, counts)
  if counts then
    t.processed = t.processed + 1
    t.failed = t.failed + 1
    count_retry(task)
  end
end

local function archive(t, base, task, id, message, reason, counts, unlock, keep, trace)
  if t.awaited then tell(task, 'archived') end
  note_attempt(task, keep, reason, now, message, trace)
  put(task, KEYS[base + 5], bygone(now), id,
    'state', 'archived', 'error', message, 'failed_at', now, 'reason', reason)
  if t.awaited then clear_task(task, 'awaited') end
  -- The outcome counts for more than the lock, which has an end of its own.
  if unlock then
    local locks = string.gsub(KEYS[base + 1], 'lease$', 'unique:')
    local suffix = read_task(task, 'unique')[1]
    local found, lock = pcall(function() return lock_of(task, suffix, locks, id) end)
    if found and lock then redis.pcall('DEL', lock) end
  end
  if counts then
    t.processed = t.processed + 1
    t.failed = t.failed + 1
  end
end

-- What was to be cancelled and has not succeeded must not run again: true if it is archived now.
local function is_unwanted(t, base, task, id, token, message, counts, keep, trace)
  if redis.pcall('HGET', task, 'cancel') ~= token then return false end
  message = message or 'TaskCancelledError: cancelled: on request'
  archive(t, base, task, id, message, 'cancelled', counts, true, keep, trace)
  return true
end

local outcomes = {
  done = function(t, _, task, id, detail)
    local unique = cmsgpack.unpack(detail)[2]
    t.processed = t.processed + 1
    forget(t, task, id, 'done', unique)
  end,
  complete = function(t, base, task, id, detail)
    local result, unique, retention = unpack(cmsgpack.unpack(detail))
    if t.awaited then tell(task, 'completed') end
    put(task, KEYS[base + 6], moment(now + retention), id, 'state', 'completed', 'completed_at', now)
    t.processed = t.processed + 1
    if result then write_task(task, 'result', result) end
    if t.awaited then clear_task(task, 'awaited') end
    if unique then
      key = key + 1
      if redis.pcall('GET', KEYS[key]) == id then call('DEL', KEYS[key]) end
    end
  end,
  retry = function(t, base, task, id, detail, token)
    local message, seconds, counts, keep, trace = unpack(cmsgpack.unpack(detail))
    if is_unwanted(t, base, task, id, token, message, counts, keep, trace) then return end
    note_attempt(task, keep, 'retry', now, message, trace)
    put_off(t, task, KEYS[base + 3], now + seconds, id, 'state', 'retry', 'error', message, 'failed_at', now)
    count(t, task, counts)
  end,
  archive = function(t, base, task, id, detail)
    local message, reason, counts, unlock, keep, trace = unpack(cmsgpack.unpack(detail))
    archive(t, base, task, id, message, reason, counts, unlock, keep, trace)
  end,
  requeue = function(t, base, task, id, _, token)
    if is_unwanted(t, base, task, id, token) then return end
    call('RPUSH', KEYS[base + 2], id)
    clear_task(task, 'state', 'delivery', 'cancel')
    t.requeued = t.requeued + 1
  end,
  defer = function(t, base, task, id, detail, token)
    local seconds = unpack(cmsgpack.unpack(detail))
    if is_unwanted(t, base, task, id, token) then return end
    put_off(t, task, KEYS[base + 4], now + seconds, id, 'state', 'scheduled')
  end,
  drop = function(t, _, task, id, detail)
    local kind, unique = unpack(cmsgpack.unpack(detail))
    if kind == 'revoked' then t.processed = t.processed + 1 end
    forget(t, task, id, kind, unique)
  end,
}

local function skip_lock(outcome, detail)
  if detail ~= '' and (outcome == 'done' or outcome == 'complete' or outcome == 'drop') then
    if cmsgpack.unpack(detail)[2] then key = key + 1 end
  end
end

local function refuse(index)
  if not again then
    refused[#refused + 1] = index
    refused[#refused + 1] = 'not_owner'
  end
end

for index = 1, plain do
  local at = 4 + index * 3
  local task = KEYS[key + index]
  if read_task(task, 'delivery')[1] == ARGV[at + 2] then
    local t = tally(tonumber(ARGV[at]))
    t.settled[#t.settled + 1] = ARGV[at + 1]
    t.gone[#t.gone + 1] = task
    t.done = t.done + 1
    if t.awaited then tell(task, 'done') end
  else
    refuse(index)
  end
end
key = key + plain

local index = plain
for i = 7 + plain * 3, #ARGV, 5 do
  local queue, id, token = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  local outcome, detail = ARGV[i + 3], ARGV[i + 4]
  index = index + 1
  key = key + 1
  local task = KEYS[key]
  if read_task(task, 'delivery')[1] == token then
    -- What cannot be written, because a key holds something else than it should, must not keep the
    -- rest from being written.
    local t, before = tally(queue), key
    if pcall(outcomes[outcome], t, (queue - 1) * PER_QUEUE, task, id, detail, token) then
      t.settled[#t.settled + 1] = id
    else
      key = before
      skip_lock(outcome, detail)
      refused[#refused + 1] = index
      refused[#refused + 1] = 'unusable'
    end
  else
    skip_lock(outcome, detail)
    refuse(index)
  end
end

local function add(total, daily, amount)
  if amount == 0 then return end
  redis.pcall('INCRBY', total, amount)
  if redis.pcall('INCRBY', daily, amount) == amount then call('EXPIRE', daily, STATISTICS_SECONDS) end
end

local news = false
for queue, t in pairs(tallies) do
  local base = (queue - 1) * PER_QUEUE
  if #t.settled > 0 then let_go(KEYS[base + 1], unpack(t.settled)) end
  if #t.gone > 0 then call('DEL', unpack(t.gone)) end
  add(KEYS[base + 7], KEYS[base + 9], t.processed + t.done)
  add(KEYS[base + 8], KEYS[base + 10], t.failed)
  if t.done > 0 then t.flow.done = (t.flow.done or 0) + t.done end
  for kind, amount in pairs(t.flow) do redis.pcall('HINCRBY', KEYS[base + 11], kind, amount) end
  if t.requeued > 0 then wake(KEYS[base + 12], ARGV[3], t.requeued, in_cluster, now) end
  news = news or t.news
end
if news then call('PUBLISH', ARGV[4], 'due') end
return refused
