-- write_task: set fields of the hash of a task.
local function write_task(task, ...)
  redis.call('HSET', task, ...)
end
