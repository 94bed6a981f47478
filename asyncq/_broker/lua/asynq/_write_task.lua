-- write_task: set fields of the hash of a task, by the names that they have in the native wire.
--
-- INCLUDE field_of
-- INCLUDE nanoseconds
-- INCLUDE parts_of
-- INCLUDE rewrite
--
-- What Go keeps in the message goes there. Where the message cannot be read it stays a field of the hash; and
-- so do times, of which the message has the second only.
local function write_task(task, ...)
  local given, fields, changes, own = {...}, {}, nil, {}
  local function set(name, value)
    fields[#fields + 1], fields[#fields + 2] = name, value
  end
  for i = 1, #given, 2 do
    local name, value = given[i], given[i + 1]
    if field_of(name) then
      changes = changes or {}
      changes[field_of(name)] = name == 'error' and value or tonumber(value)
      own[#own + 1], own[#own + 2] = name, value
      if name == 'failed_at' or name == 'completed_at' then set(name, value) end
    elseif name == 'msg' then
      local message, extra = parts_of(value)
      set('msg', message)
      if extra == '' then redis.call('HDEL', task, 'extra') else set('extra', extra) end
    elseif name == 'unique' then
      set('unique_key', string.match(task, '^[^}]*}:') .. 'unique:' .. value)
    elseif name == 'ready_at' then
      set('pending_since', nanoseconds(tonumber(value)))
    else
      set(name, value)
      if name == 'delivery' then set('pending_since', nanoseconds()) end
      if name == 'state' and value ~= 'active' then redis.call('HDEL', task, 'pending_since') end
    end
  end
  if changes and not rewrite(task, changes) then
    for _, item in ipairs(own) do fields[#fields + 1] = item end
  end
  if #fields > 0 then redis.call('HSET', task, unpack(fields)) end
end
