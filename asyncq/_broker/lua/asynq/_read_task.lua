-- read_task: fields of the hash of a task, by the names that they have in the native wire.
--
-- INCLUDE facts
-- INCLUDE field_of
--
-- The answer is that of HMGET; an error is a value, like pcall. A task that a Go server holds has the
-- delivery `asynq:0`. Ours is held as long as there is a `pending_since`, which we set when we take a task:
-- Go removes it when it takes one, so what somebody else had meanwhile is no longer taken for ours.
local function read_task(task, ...)
  local asked, names = {...}, {'state', 'pending_since', 'extra'}
  for i, name in ipairs(asked) do
    names[i + 3] = field_of(name) and 'msg' or ({unique = 'unique_key', ready_at = 'extra'})[name] or name
  end
  local f = redis.pcall('HMGET', task, unpack(names))
  if f.err then return f end
  local state, since, known = f[1], f[2], nil
  local function from_message(message, number)
    if not known then
      local is_fine, found = pcall(facts, message)
      known = is_fine and found or {}
    end
    local value = known[number]
    if value == '' or value == 0 then return false end
    return value and tostring(value) or false
  end
  local answer = {}
  for i, name in ipairs(asked) do
    local value = f[i + 3]
    if name == 'state' then
      value = state ~= 'pending' and state ~= '' and state
    elseif name == 'delivery' then
      value = state == 'active' and (not since and 'asynq:0' or value)
    elseif name == 'msg' then
      value = value and f[3] and f[3] .. value or value
    elseif name == 'ready_at' then
      value = state == 'pending' and since and string.format('%.6f', tonumber(since) / 1e9)
    elseif name == 'group' then
      value = value ~= '' and value
    elseif name == 'unique' then
      -- Go does not write it for a task that it puts into a group.
      if (not value or value == '') and state == 'aggregating' then
        value = from_message(redis.call('HGET', task, 'msg') or '', 10)
      end
      value = value and string.match(value, '^[^}]*}:unique:(.*)$')
    elseif field_of(name) then
      value = value and from_message(value, field_of(name))
    end
    answer[i] = value or false
  end
  return answer
end
