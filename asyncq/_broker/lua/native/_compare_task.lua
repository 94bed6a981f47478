-- compare_task: whether what has an id is the very task that is to be stored under it:
-- already | conflict | unusable.
local function compare_task(task, message)
  local held = redis.pcall('HGET', task, 'msg')
  if type(held) == 'table' then return 'unusable' end
  return held == message and 'already' or 'conflict'
end
