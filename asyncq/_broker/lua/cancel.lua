-- cancel: archive a task that waits, or ask the server that runs it to stop it.
--
-- INCLUDE ask_to_stop
-- INCLUDE clear_task
-- INCLUDE bygone
-- INCLUDE leave
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE begin
-- INCLUDE confirm
-- INCLUDE ended
-- INCLUDE lock_of
--
-- KEYS  task        Q t:<id>         hash
-- KEYS  pending     Q pending        list
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  retry       Q retry          zset
-- KEYS  archived    Q archived       zset
-- KEYS  groups      Q groups         set
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     prefix of the servers' channels
-- ARGV  id
-- ARGV  group       prefix of groups
-- ARGV  lock        prefix of unique locks
-- REPLY requested (it runs) | cancelled (it waited, and is archived now) | missing
--       | archived | completed | aggregating (it is being aggregated now) | active (its hash names no
--       server: damage): left alone
--
-- A wish to stop is bound to the delivery at hand. It is sent as a message, and stays in the hash for
-- the lease keeper to find in case the message was missed.
--
-- To take an id out of the list takes time in proportion to where it stands: 20 ms of Redis' time half-way
-- in a million. Both ends are near: first a little of the right is searched, where tasks are taken, then all
-- from the left, where they are put.
--
-- Nobody wants the task any more, so it gives up its lock. Group and lock cannot be declared: their names
-- are read here. They have the slot of the queue.
local SEARCHED_FROM_THE_RIGHT = 10000
local call = redis.call
local task, id = KEYS[1], ARGV[3]
local f = read_task(task, 'msg', 'state', 'delivery', 'reason', 'group', 'awaited', 'unique')
if not f[1] then return 'missing' end
local state = f[2] or 'pending'
if state == 'active' then
  if not f[3] or not string.match(f[3], ':%d+$') then return 'active' end
  -- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
  call('HDEL', task, 'cancel')
  call('HSET', task, 'cancel', f[3])
  ask_to_stop(ARGV[2], f[3], id)
  return 'requested'
end
if state == 'archived' and f[4] == 'cancelled' and ARGV[1] == '1' then return 'cancelled' end
if state == 'archived' or state == 'completed' then return state end

-- What cannot be done to its end is not begun: keys that hold something else end the script here.
call('ZCARD', KEYS[5])
local zset
if state == 'pending' then
  call('LLEN', KEYS[2])
elseif state == 'scheduled' then
  zset = KEYS[3]
elseif state == 'retry' then
  zset = KEYS[4]
else
  zset = ARGV[4] .. (f[5] or '')
  if not call('ZSCORE', zset, id) then
    confirm(zset, task)
    return 'aggregating'
  end
end
if zset then call('ZCARD', zset) end

begin(KEYS[5])
local lock = lock_of(task, f[7], ARGV[5], id)
if lock then call('DEL', lock) end
local now = clock()
call('ZADD', KEYS[5], bygone(now), id)
if zset then
  leave(zset, id)
else
  local is_near = call('LPOS', KEYS[2], id, 'RANK', -1, 'MAXLEN', SEARCHED_FROM_THE_RIGHT)
  call('LREM', KEYS[2], is_near and -1 or 1, id)
end
if state == 'aggregating' and call('EXISTS', zset) == 0 then redis.pcall('SREM', KEYS[6], f[5]) end
-- Why it failed last says more than that somebody stopped it.
local message = read_task(task, 'error')[1] or 'TaskCancelledError: cancelled: on request'
write_task(task, 'state', 'archived', 'reason', 'cancelled', 'failed_at', now, 'error', message)
clear_task(task, 'awaited')
ended(f[6], 'archived', task)
return 'cancelled'
