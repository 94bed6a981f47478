-- page: read a part of the pending list, and say which of its tasks do not look pending.
--
-- INCLUDE read_task
-- INCLUDE confirm
--
-- KEYS  pending     Q pending        list
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  first       index of the first to read, from the left
-- ARGV  last        index of the last
-- ARGV  tasks       prefix of task hashes
-- REPLY [length of the list, [id ...], [id that does not look pending ...]]
local ids = redis.call('LRANGE', KEYS[1], ARGV[2], ARGV[3])
local odd = {}
for _, id in ipairs(ids) do
  local task = ARGV[4] .. id
  local f = read_task(task, 'state')
  if f.err or (f[1] and f[1] ~= 'pending') or redis.call('HEXISTS', task, 'msg') == 0 then
    confirm(task, KEYS[1])
    odd[#odd + 1] = id
  end
end
return {redis.call('LLEN', KEYS[1]), ids, odd}
