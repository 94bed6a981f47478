-- facts: read the protobuf message of a task, and put other values in place of some of its fields.
--
-- Fields go by their tags, which are `number * 8 + kind`: kind 0 is a number, 2 is text. Returns the numbers
-- and those texts that a script may want, and the message with `changes` made: `false`, 0 or '' leave a
-- field out, as protobuf does. All other bytes stay as they are, known or not. Ends with an error where it
-- is no such message.
local function facts(message, changes)
  local TEXTS = {[58] = true, [82] = true, [114] = true} -- the error, the lock, the group
  local function damaged() error('not a message', 0) end
  local function varint(at)
    local value, scale = 0, 1
    for i = at, at + 9 do
      local byte = string.byte(message, i)
      -- The tenth byte has room for one bit.
      if not byte or (i == at + 9 and byte > 1) then damaged() end
      value = value + byte % 128 * scale
      if byte < 128 then return value, i + 1 end
      scale = scale * 128
    end
  end
  local function encoded(value)
    local bytes = {}
    repeat
      local rest = math.floor(value / 128)
      bytes[#bytes + 1] = string.char(value % 128 + (rest > 0 and 128 or 0))
      value = rest
    until value == 0
    return table.concat(bytes)
  end

  local found, parts, kept_from, at = {}, {}, 1, 1
  while at <= #message do
    local start = at
    local tag, after = varint(at)
    local kind = tag % 8
    at = after
    if tag < 8 or tag > 4294967295 then damaged() end
    if kind == 0 then
      found[tag], at = varint(at)
    elseif kind == 2 then
      local size
      size, at = varint(at)
      if at + size > #message + 1 then damaged() end
      if TEXTS[tag] then found[tag] = string.sub(message, at, at + size - 1) end
      at = at + size
    elseif kind == 1 or kind == 5 then
      at = at + (kind == 1 and 8 or 4)
      if at > #message + 1 then damaged() end
    else
      damaged()
    end
    if changes and changes[tag] ~= nil then
      parts[#parts + 1] = string.sub(message, kept_from, start - 1)
      kept_from = at
    end
  end
  if not changes then return found, message end

  parts[#parts + 1] = string.sub(message, kept_from)
  for tag, value in pairs(changes) do
    if type(value) == 'number' and value > 0 then
      parts[#parts + 1] = encoded(tag) .. encoded(math.floor(value))
    elseif type(value) == 'string' and value ~= '' then
      parts[#parts + 1] = encoded(tag) .. encoded(#value) .. value
    end
  end
  return found, table.concat(parts)
end
