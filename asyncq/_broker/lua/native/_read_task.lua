-- read_task: fields of the hash of a task, as HMGET gives them; an error as a value, like pcall.
local function read_task(task, ...)
  return redis.pcall('HMGET', task, ...)
end
