-- collect: read the tasks of an aggregation set, a page at a time.
--
-- INCLUDE read_task
-- INCLUDE confirm
--
-- KEYS  set               Q g:<group>:<set>   zset
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- KEYS  flow              Q flow              hash
-- ARGV  again       '1' when this call was sent before
-- ARGV  tasks       prefix of task hashes
-- ARGV  first       rank of the first task
-- ARGV  limit       tasks at the most
-- ARGV  bytes       no more tasks when the messages have so many bytes
-- REPLY ['gone'] when the set is nobody's or not there, else [rank of the next task or '', then id, msg ...]
--
-- Ids without a message are dropped and counted: there is nothing to aggregate. Task hashes cannot be
-- declared: their names are read here.
if not redis.call('ZSCORE', KEYS[2], KEYS[1]) then return {'gone'} end
local first, limit, room = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ids = redis.call('ZRANGE', KEYS[1], first, first + limit - 1)
local reply, vanished, read = {''}, {}, 0
for _, id in ipairs(ids) do
  if room <= 0 then break end
  local message = read_task(ARGV[2] .. id, 'msg')[1]
  if type(message) == 'string' then
    reply[#reply + 1] = id
    reply[#reply + 1] = message
    room = room - #message
  else
    confirm(ARGV[2] .. id, KEYS[1])
    vanished[#vanished + 1] = id
    if not message then redis.call('DEL', ARGV[2] .. id) end
  end
  read = read + 1
end
if #vanished > 0 then
  redis.call('ZREM', KEYS[1], unpack(vanished))
  redis.pcall('HINCRBY', KEYS[3], 'vanished', #vanished)
end
if read < #ids or #ids == limit then reply[1] = tostring(first + read - #vanished) end
return reply
