-- read_task: fields of the hash of a task, by the names that they have in the native wire.
--
-- INCLUDE facts
-- INCLUDE field_of
-- INCLUDE signed
--
-- The answer is that of HMGET; an error is a value, like pcall. A task that a Go server holds has the
-- delivery `asynq:0`. Ours is held as long as there is a `pending_since`, which we set when we take a task:
-- Go removes it when it takes one, so what somebody else had meanwhile is no longer taken for ours. An
-- empty field is none: Go's own tests write all of them.
local function read_task(task, ...)
  local HASH = {unique = 'unique_key', ready_at = 'extra'}
  local asked, names = {...}, {'state', 'pending_since', 'extra', 'group'}
  for i, name in ipairs(asked) do names[i + 4] = field_of(name) and 'msg' or HASH[name] or name end
  local f = redis.pcall('HMGET', task, unpack(names))
  if f.err then return f end
  local state, since, known = f[1], f[2] ~= '' and f[2], nil
  local function from_message(message, tag)
    if known == nil then
      local is_fine, found = pcall(facts, message)
      known = is_fine and found
    end
    return known and known[tag]
  end
  local function fact(message, name)
    if not message then return false end
    local value = from_message(message, field_of(name))
    -- Where the message cannot be read, it could not be written either (see _write_task.lua).
    if not known then return redis.call('HGET', task, name) end
    if type(value) == 'number' then
      value = signed(value, name == 'retried' and 32 or 64)
      value = value > 0 and string.format('%.0f', value)
    end
    return value ~= '' and value
  end
  local answer = {}
  for i, name in ipairs(asked) do
    local value = f[i + 4]
    if name == 'state' then
      value = state ~= 'pending' and state ~= '' and state
    elseif name == 'delivery' then
      value = state == 'active' and (not since and 'asynq:0' or value)
    elseif name == 'cancel' then
      -- Go's servers are told by message alone: what was wished of one delivery is not wished of the next.
      value = since and value
    elseif name == 'msg' then
      value = value and f[3] and f[3] .. value or value
    elseif name == 'ready_at' then
      local time = state == 'pending' and tonumber(since or '')
      value = time and string.format('%.6f', time / 1e9)
    elseif name == 'group' then
      value = value ~= '' and value
    elseif name == 'unique' then
      -- Go writes it into the message alone, for a task that it puts into a group.
      if (not value or value == '') and f[4] and f[4] ~= '' then
        value = from_message(redis.call('HGET', task, 'msg') or '', 82)
      end
      value = value and string.match(value, '^[^}]*}:unique:(.*)$')
    elseif field_of(name) then
      value = fact(value, name)
    end
    answer[i] = value or false
  end
  return answer
end
