-- recover: take back tasks whose lease ran out.
--
-- INCLUDE allowance
-- INCLUDE clear_task
-- INCLUDE let_go
-- INCLUDE bygone
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE moving
-- INCLUDE begin
-- INCLUDE ended
-- INCLUDE lock_of
-- INCLUDE wake
-- INCLUDE whole
-- INCLUDE note_attempt
--
-- KEYS  ...         for each queue: Q lease, Q pending, Q archived, Q waiting, Q flow
-- ARGV  again       '1' when this call was sent before
-- ARGV  limit       tasks to take back at the most
-- ARGV  max_lost    a task that lost so many leases is archived
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  expected    Unix seconds by Redis' clock at which this call should run; 0 to take nothing back
-- ARGV  unlock      '1' if a unique task that is archived gives up its lock
-- ARGV  keep        of how many deliveries that did not succeed a task keeps a record
-- ARGV  ...         for each queue: prefix of its task hashes, prefix of its unique locks
-- REPLY [now, on_time | late, seconds until the next lease runs out or '',
--       then per task: queue number, id, word, leases lost]; the word is pending | archived | vanished.
--       A queue that could not be looked after: its number, '', unusable, 0.
--       The error TRYAGAIN if there is nothing to tell while the slot moves to another node of a cluster.
--
-- A call that arrives late has waited in a server that was frozen, restarted or cut off. The
-- servers whose leases ran out in that time could not extend them: they get the time to.
--
-- They go to the front: they have waited once already. Retries are not touched, since nobody
-- knows that the handler failed.
local PER_QUEUE = 5
local now = clock()
local left = tonumber(ARGV[2])
local next_end, is_moving
local TOLERANCE = 1
local expected = tonumber(ARGV[6])
local late = expected > 0 and now - expected > TOLERANCE
local reply = {tostring(now), late and 'late' or 'on_time', ''}
if late or expected == 0 then left = 0 end

local function sooner(moment_of_end)
  if not next_end or moment_of_end < next_end then next_end = moment_of_end end
end

local function tell(queue, id, word, lost)
  reply[#reply + 1] = queue
  reply[#reply + 1] = id
  reply[#reply + 1] = word
  reply[#reply + 1] = lost
end

-- Where an error ends this, the id is still in `lease` or has been put where it goes.
local function recover(queue, base, id, ends)
  local task, locks = ARGV[7 + queue * 2] .. id, ARGV[8 + queue * 2]
  local f = read_task(task, 'msg', 'lost', 'awaited', 'cancel', 'delivery', 'unique')
  if ends + allowance(f[5]) > now then
    sooner(ends + allowance(f[5]))
    return
  end
  if not f[1] then
    confirm(task, KEYS[base + 1])
    let_go(KEYS[base + 1], id)
    if not f.err then redis.call('DEL', task) end
    redis.pcall('HINCRBY', KEYS[base + 5], 'vanished', 1)
    tell(queue, id, 'vanished', 0)
    return
  end
  local lost = whole(f[2]) + 1
  -- What was to be cancelled must not run again, and gives up its lock in any case.
  local is_unwanted = f[4] and f[4] == f[5]
  local function note()
    note_attempt(task, tonumber(ARGV[8]), 'lost', now, 'the server that ran it went away')
  end
  if is_unwanted or lost >= tonumber(ARGV[3]) then
    local lock = (is_unwanted or ARGV[7] == '1') and lock_of(task, f[6], locks, id)
    note()
    if lock then redis.call('DEL', lock) end
    redis.call('ZADD', KEYS[base + 3], bygone(now), id)
    let_go(KEYS[base + 1], id)
    local times = lost == 1 and 'once' or lost .. ' times'
    write_task(task, 'state', 'archived', 'failed_at', now, 'lost', lost,
      'reason', is_unwanted and 'cancelled' or 'lost',
      'error', 'the server that ran it went away, ' .. times)
    clear_task(task, 'delivery', 'cancel', 'awaited')
    ended(f[3], 'archived', task)
    tell(queue, id, 'archived', lost)
  else
    note()
    redis.call('RPUSH', KEYS[base + 2], id)
    let_go(KEYS[base + 1], id)
    write_task(task, 'lost', lost)
    clear_task(task, 'state', 'delivery', 'cancel')
    wake(KEYS[base + 4], ARGV[4], 1, ARGV[5] == '1', now)
    tell(queue, id, 'pending', lost)
  end
end

local function look(queue, base)
  local over, told = {}, #reply
  local lease, is_all = KEYS[base + 1], left > 0
  if left > 0 then over = redis.call('ZRANGEBYSCORE', lease, '-inf', now, 'WITHSCORES', 'LIMIT', 0, left) end
  for i = 1, #over, 2 do recover(queue, base, over[i], tonumber(over[i + 1])) end
  -- Or nothing but leases of which an end is not enough: they would be all that is seen, again and again.
  is_all = is_all and (#over < left * 2 or #reply == told)
  left = left - #over / 2
  -- What is over and still there has just been looked at, unless there was too much of it.
  local first = redis.call('ZRANGEBYSCORE', lease, is_all and '(' .. now or '-inf', '+inf',
    'WITHSCORES', 'LIMIT', 0, 1)[2]
  if first then sooner(tonumber(first)) end
end

begin(KEYS[1])
for queue = 1, #KEYS / PER_QUEUE do
  -- A queue of which a key holds something else than it should must not spoil the others.
  local is_well, problem = pcall(look, queue, (queue - 1) * PER_QUEUE)
  if not is_well and moving(problem) then
    is_moving = true
  elseif not is_well then
    tell(queue, '', 'unusable', 0)
  end
end
if is_moving then
  if #reply == 3 then return redis.error_reply('TRYAGAIN tasks are on their way to another node') end
  next_end = now
end
if next_end then reply[3] = tostring(math.max(0, next_end - now)) end
return reply
