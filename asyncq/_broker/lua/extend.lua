-- extend: prolong the leases that a server still holds in one queue.
--
-- INCLUDE read_task
-- INCLUDE clock
--
-- KEYS  lease       Q lease          zset
-- KEYS  ...         for each delivery: Q t:<id>
-- ARGV  again       '1' when this call was sent before
-- ARGV  lease       seconds from now
-- ARGV  ...         for each delivery: id, token
-- REPLY [index, word ...] of what is not simply prolonged: lost | cancel
--
-- A lease that ran out but was taken by nobody is prolonged like any other.
local now = clock()
local reply, alive = {}, {}
-- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
redis.call('ZREM', KEYS[1], '')
for i = 3, #ARGV, 2 do
  local index = (i - 1) / 2
  -- Not `call`: a task whose key holds something else must not cost the others their leases.
  local f = read_task(KEYS[index + 1], 'delivery', 'cancel')
  if f[1] == ARGV[i + 1] then
    alive[#alive + 1] = now + tonumber(ARGV[2])
    alive[#alive + 1] = ARGV[i]
    if f[2] == ARGV[i + 1] then
      reply[#reply + 1] = index
      reply[#reply + 1] = 'cancel'
    end
  else
    reply[#reply + 1] = index
    reply[#reply + 1] = 'lost'
  end
end
if #alive > 0 then redis.call('ZADD', KEYS[1], unpack(alive)) end
return reply
