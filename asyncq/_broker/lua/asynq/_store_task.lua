-- store_task: begin the hash of a new, pending task; false if its id is not free.
--
-- INCLUDE parts_of
-- INCLUDE nanoseconds
local function store_task(task, both)
  local message, extra = parts_of(both)
  local answer = redis.pcall('HSETNX', task, 'msg', message)
  if type(answer) == 'table' then
    -- What is there is no hash. Any other error is Redis refusing to write.
    if not string.find(answer.err, 'WRONGTYPE', 1, true) then redis.call('HSETNX', task, 'msg', message) end
    return false
  end
  if answer == 0 then return false end
  if extra == '' then
    redis.call('HSET', task, 'state', 'pending', 'pending_since', nanoseconds())
  else
    redis.call('HSET', task, 'state', 'pending', 'pending_since', nanoseconds(), 'extra', extra)
  end
  return true
end
