-- store_task: begin the hash of a new, pending task; false if its id is not free.
--
-- A task without a `state` is pending: most are, and the field would be a seventh of their memory.
local function store_task(task, message)
  local answer = redis.pcall('HSETNX', task, 'msg', message)
  if type(answer) ~= 'table' then return answer == 1 end
  -- What is there is no hash. Any other error is Redis refusing to write.
  if not string.find(answer.err, 'WRONGTYPE', 1, true) then redis.call('HSETNX', task, 'msg', message) end
  return false
end
