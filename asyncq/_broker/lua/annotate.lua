-- annotate: write a result or a progress report of a delivery that is still ours.
--
-- INCLUDE read_task
--
-- KEYS  task        Q t:<id>         hash
-- ARGV  again       '1' when this call was sent before
-- ARGV  token       of the delivery
-- ARGV  field       result | progress
-- ARGV  value
-- REPLY ok | not_owner
--
-- Who waits for the task is told of its progress.
local f = read_task(KEYS[1], 'delivery', 'awaited')
if f[1] ~= ARGV[2] then return 'not_owner' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
if f[2] and ARGV[3] == 'progress' then
  for channel in string.gmatch(f[2], '%S+') do redis.pcall('PUBLISH', channel, 'progress ' .. KEYS[1]) end
end
return 'ok'
