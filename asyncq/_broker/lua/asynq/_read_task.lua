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
local HASH = {unique = 'unique_key', ready_at = 'pending_since'}

-- What the message says. Beside it stands what it says where it cannot be read, for then it could not be
-- written either (see _write_task.lua), and the fraction of a time: that holds while the second is the same.
local function fact(known, name, beside)
  if not known then return beside end
  local value = known[field_of(name)]
  if type(value) == 'number' then
    value = signed(value, name == 'retried' and 32 or 64)
    local exact = (name == 'failed_at' or name == 'completed_at') and tonumber(beside or '')
    if exact and math.floor(exact) == value then return beside end
    value = value > 0 and string.format('%.0f', value)
  end
  return value ~= '' and value
end

local function read_task(task, ...)
  local asked, names, more = {...}, {'state', 'pending_since'}, {}
  for i, name in ipairs(asked) do names[i + 2] = HASH[name] or name end
  local function want(name)
    if not more[name] then
      more[name] = #names + 1
      names[more[name]] = name
    end
  end
  for _, name in ipairs(asked) do
    if field_of(name) then want('msg') elseif name == 'msg' then want('extra') end
    if name == 'unique' then want('group') end
  end
  local f = redis.pcall('HMGET', task, unpack(names))
  if f.err then return f end
  local state, since, known = f[1], f[2] ~= '' and f[2], nil
  local function read(message)
    if known == nil and message then
      local is_fine, found = pcall(facts, message)
      known = is_fine and found
    end
    return known
  end
  local answer = {}
  for i, name in ipairs(asked) do
    local value = f[i + 2]
    if name == 'state' then
      value = state ~= 'pending' and state ~= '' and state
    elseif name == 'delivery' then
      value = state == 'active' and (not since and 'asynq:0' or value)
    elseif name == 'cancel' then
      -- Go's servers are told by message alone: what was wished of one delivery is not wished of the next.
      value = since and value
    elseif name == 'msg' then
      local extra = f[more.extra]
      value = value and extra and extra .. value or value
    elseif name == 'ready_at' then
      local time = state == 'pending' and tonumber(since or '')
      value = time and string.format('%.6f', time / 1e9)
    elseif name == 'group' then
      value = value ~= '' and value
    elseif name == 'unique' then
      -- Go writes it into the message alone, for a task that it puts into a group.
      local group = f[more.group]
      if (not value or value == '') and group and group ~= '' then
        value = (read(redis.call('HGET', task, 'msg') or '') or {})[82]
      end
      value = value and string.match(value, '^[^}]*}:unique:(.*)$')
    elseif field_of(name) then
      value = fact(read(f[more.msg]), name, value)
    end
    answer[i] = value or false
  end
  return answer
end
