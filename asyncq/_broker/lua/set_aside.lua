-- set_aside: archive those tasks of an aggregation set that cannot be read, so that the others can go on.
--
-- INCLUDE clear_task
-- INCLUDE bygone
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE begin
-- INCLUDE ended
--
-- KEYS  set               Q g:<group>:<set>   zset
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- KEYS  archived          Q archived          zset
-- KEYS  ...         for each task: Q t:<id>
-- ARGV  again       '1' when this call was sent before
-- ARGV  ...         for each task: id, error
-- REPLY gone | ok
local now = clock()
if not redis.call('ZSCORE', KEYS[2], KEYS[1]) then return 'gone' end
begin(KEYS[1])
for i = 2, #ARGV, 2 do
  local id, task = ARGV[i], KEYS[3 + i / 2]
  if redis.call('ZSCORE', KEYS[1], id) then
    redis.call('ZADD', KEYS[3], bygone(now), id)
    redis.call('ZREM', KEYS[1], id)
    local channels = redis.pcall('HGET', task, 'awaited')
    write_task(task,
      'state', 'archived', 'failed_at', now, 'reason', 'unreadable', 'error', ARGV[i + 1])
    if channels then clear_task(task, 'awaited') end
    ended(channels, 'archived', task)
  end
end
return 'ok'
