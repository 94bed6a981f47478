-- promote: let tasks that were put back for want of a slot be taken before their time.
--
-- INCLUDE clear_task
-- INCLUDE leave
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE wake
--
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  pending     Q pending        list
-- KEYS  waiting     Q waiting        zset
-- KEYS  ...         for each task: Q t:<id>
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  ...         for each task: id, token of the delivery that put it back, deliveries it had then
-- REPLY [word ...] for each task: moved | unsettled | gone
--
-- The number of deliveries tells the task that was put back from one that was delivered since, and
-- from another one that has got its id. One that still carries the token is on its way back.
--
-- They go to the front: they have waited once already.
local scheduled, pending = KEYS[1], KEYS[2]
local now = clock()
local reply, moved = {}, 0
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('ZREM', scheduled, '')
-- Backwards, since what is put to the front last is taken first.
for i = #ARGV - 2, 4, -3 do
  local number = (i - 1) / 3
  local task, id = KEYS[3 + number], ARGV[i]
  local f = read_task(task, 'state', 'delivery', 'deliveries')
  local word = 'gone'
  if f[2] == ARGV[i + 1] then
    word = 'unsettled'
  elseif f[1] == 'scheduled' and f[3] == ARGV[i + 2] and redis.call('ZSCORE', scheduled, id) then
    word = 'moved'
    moved = moved + 1
    -- Where an error ends this, the id is still in `scheduled` or is in `pending`.
    redis.call('RPUSH', pending, id)
    leave(scheduled, id)
    clear_task(task, 'state')
    write_task(task, 'ready_at', now)
  end
  reply[number] = word
end
if moved > 0 then wake(KEYS[3], ARGV[2], moved, ARGV[3] == '1', now) end
return reply
