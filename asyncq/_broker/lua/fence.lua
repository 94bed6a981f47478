-- fence: let schedulers enqueue no time of an entry that know an older version of it.
--
-- KEYS  fence    Q fence:<entry>  string
-- ARGV  again    '1' when this call was sent before
-- ARGV  version  the least that may enqueue
-- ARGV  keep     seconds to remember it; 0 for as long as nobody says otherwise
-- REPLY ok | older (there is a later one)
--
-- The claim of a time reads it (`enqueue`), so whoever has changed an entry and is told that the fence stands
-- knows that nothing is enqueued by the old definition any more. It goes through when the memory is full.
local there = redis.pcall('GET', KEYS[1])
if type(there) ~= 'table' and there and tonumber(there) and tonumber(there) > tonumber(ARGV[2]) then
  return 'older'
end
-- The first write takes no memory.
redis.call('EXPIRE', KEYS[1], 1)
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 'ok'
