-- tick_mend: see whether what queues remember of entries of schedulers will be forgotten, and let it.
--
-- INCLUDE read_task
--
-- KEYS  ...     for each entry: Q tick:<entry>, Q fence:<entry>
-- ARGV  again   '1' when this call was sent before
-- ARGV  tasks   prefix of task hashes
-- ARGV  ...     for each entry: seconds after which a tick is forgotten that would never be, or '';
--               the same of a fence
-- REPLY for each entry: type of the tick, its milliseconds to live (as PTTL says), the time that waits or
--       '', '1' if the run is over that it waits for, how many notes are left, type of the fence, its
--       milliseconds to live
local function is_over(id)
  if not id then return true end
  local f = read_task(ARGV[2] .. id, 'msg', 'state')
  if f.err then return false end
  return not f[1] or f[2] == 'archived' or f[2] == 'completed'
end

local reply = {}
for i = 1, #KEYS, 2 do
  local tick, fence = KEYS[i], KEYS[i + 1]
  if ARGV[i + 2] ~= '' and redis.call('PTTL', tick) == -1 then
    redis.call('EXPIRE', tick, ARGV[i + 2])
    redis.pcall('HDEL', tick, 'kept')  -- it may say more than is true now
  end
  if ARGV[i + 3] ~= '' and redis.call('PTTL', fence) == -1 then redis.call('EXPIRE', fence, ARGV[i + 3]) end
  local f = redis.pcall('HMGET', tick, 'queued', 'run')
  local queued, run, notes = '', nil, 0
  if not f.err then
    queued, run = f[1] or '', f[2]
    local fields = redis.call('HGETALL', tick)
    for j = 1, #fields, 2 do
      if string.sub(fields[j], 1, 5) == 'note:' then notes = notes + 1 end
    end
  end
  reply[#reply + 1] = redis.call('TYPE', tick).ok
  reply[#reply + 1] = redis.call('PTTL', tick)
  reply[#reply + 1] = queued
  reply[#reply + 1] = queued ~= '' and is_over(run) and '1' or ''
  reply[#reply + 1] = notes
  reply[#reply + 1] = redis.call('TYPE', fence).ok
  reply[#reply + 1] = redis.call('PTTL', fence)
end
return reply
