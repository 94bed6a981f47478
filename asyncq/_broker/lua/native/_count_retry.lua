-- count_retry: one more of the retries of a task is used.
local function count_retry(task)
  redis.call('HINCRBY', task, 'retried', 1)
end
