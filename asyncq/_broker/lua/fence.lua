-- fence: let schedulers enqueue no time of an entry that know an older version of it.
--
-- KEYS  fence    Q fence:<entry>  string
-- KEYS  tick     Q tick:<entry>   hash
-- ARGV  again    '1' when this call was sent before
-- ARGV  version  the least that may enqueue
-- ARGV  keep     seconds to remember it; 0 for as long as nobody says otherwise
-- ARGV  reason   why no time may wait here any more for the end of a run: a word for the history; '' if it
--                may
-- REPLY [ok | older (there is a later one), milliseconds for which the tick is kept, its fields and values,
--       in turn]
--
-- The claim of a time reads it (`enqueue`), so whoever has changed an entry and is told that the fence
-- stands knows that nothing is enqueued by the old definition any more, and what was until then. It goes
-- through when the memory is full.
local fence, tick, version, reason = KEYS[1], KEYS[2], ARGV[2], ARGV[4]

local function what_is_known(word)
  local fields = redis.pcall('HGETALL', tick)
  local reply = {word, redis.call('PTTL', tick)}
  for i = 1, fields.err and 0 or #fields do reply[i + 2] = fields[i] end
  return reply
end

local there = redis.pcall('GET', fence)
if type(there) == 'string' and tonumber(there) and tonumber(there) > tonumber(version) then
  return what_is_known('older')
end
-- The first write takes no memory.
redis.call('EXPIRE', fence, 1)
redis.call('SET', fence, version)
if ARGV[3] ~= '0' then redis.call('EXPIRE', fence, ARGV[3]) end
local queued = reason ~= '' and redis.pcall('HGET', tick, 'queued')
if type(queued) == 'string' then
  redis.call('HDEL', tick, 'queued')
  local at = tonumber(queued)
  if at then
    local text = string.format('%s %.6f %.6f %.6f', reason, at, at, at)
    redis.call('HSET', tick, string.format('note:%.6f', at), text)
  end
end
return what_is_known('ok')
