-- store_task: begin the hash of a new, pending task; false if its id is not free.
--
-- INCLUDE parts_of
-- INCLUDE nanoseconds
--
-- Go also takes ids whose hash is gone. What it leaves is a hash with nothing but `state`, under a lease. A
-- task that began in there would be made pending a second time when that lease ends.
local function store_task(task, both)
  local message, extra = parts_of(both)
  local answer = redis.pcall('HSETNX', task, 'msg', message)
  if type(answer) == 'table' then
    -- What is there is no hash. Any other error is Redis refusing to write.
    if not string.find(answer.err, 'WRONGTYPE', 1, true) then redis.call('HSETNX', task, 'msg', message) end
    return false
  end
  if answer == 0 then return false end
  local fields, added = 2
  if extra == '' then
    added = redis.call('HSET', task, 'state', 'pending', 'pending_since', nanoseconds())
  else
    fields = 3
    added = redis.call('HSET', task, 'state', 'pending', 'pending_since', nanoseconds(), 'extra', extra)
  end
  if added < fields then
    -- A ghost of Go's (see above): put back as it was.
    redis.call('HDEL', task, 'msg', 'pending_since', 'extra')
    redis.call('HSET', task, 'state', 'active')
    return false
  end
  return true
end
