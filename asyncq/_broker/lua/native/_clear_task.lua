-- clear_task: remove fields from the hash of a task; one without a `state` is pending.
local function clear_task(task, ...)
  redis.call('HDEL', task, ...)
end
