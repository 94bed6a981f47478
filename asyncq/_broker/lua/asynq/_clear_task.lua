-- clear_task: remove fields from the hash of a task, by the names that they have in the native wire.
--
-- INCLUDE facts
-- INCLUDE field_of
-- INCLUDE nanoseconds
--
-- Without a `state` a task is pending there; here that is a state like any other.
local function clear_task(task, ...)
  local gone, changes = {}, nil
  for _, name in ipairs({...}) do
    if name == 'state' then
      redis.call('HSET', task, 'state', 'pending', 'pending_since', nanoseconds())
    else
      gone[#gone + 1] = name
    end
    if field_of(name) then
      changes = changes or {}
      changes[field_of(name)] = false
    end
  end
  if #gone > 0 then redis.call('HDEL', task, unpack(gone)) end
  if changes then
    local is_fine, _, message = pcall(facts, redis.call('HGET', task, 'msg') or '', changes)
    if is_fine then redis.call('HSET', task, 'msg', message) end
  end
end
