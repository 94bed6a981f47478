-- clear_task: remove fields from the hash of a task, by the names that they have in the native wire.
--
-- INCLUDE field_of
-- INCLUDE nanoseconds
-- INCLUDE rewrite
--
-- Without a `state` a task is pending there; here that is a state like any other. What the message holds is
-- removed from the hash, too: it is there where the message could not be read (see _write_task.lua).
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
  if changes then rewrite(task, changes) end
end
