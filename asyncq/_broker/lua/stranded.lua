-- stranded: read a part of the list of active tasks that Go has, and say which of them have no lease.
--
-- KEYS  active      Q active         list
-- KEYS  lease       Q lease          zset
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  first       index of the first to read, from the left
-- ARGV  last        index of the last
-- REPLY [length of the list, [id ...], [id that has no lease ...]]
local ids = redis.call('LRANGE', KEYS[1], ARGV[2], ARGV[3])
local without = {}
for _, id in ipairs(ids) do
  if not redis.call('ZSCORE', KEYS[2], id) then without[#without + 1] = id end
end
return {redis.call('LLEN', KEYS[1]), ids, without}
