-- trace_of: what a task leaves in its hash each time it is put into the pending list.
--
-- That is the time at which it was. Go does not always write one: then nothing is vouched for.
local function trace_of(task, state)
  local since = redis.call('HGET', task, 'pending_since')
  return state == 'pending' and since and since ~= '' and 'since ' .. since or ''
end
