-- facts: read the protobuf message of a task, and put other values in place of some of its fields.
--
-- Returns what the fields with a number or text hold, by their numbers, and the message with `changes` made:
-- a number or text by the number of its field, and `false`, 0 or '' to leave it out, as protobuf does.
-- Ends with an error where it is no such message. Fields that are not known are kept.
local function facts(message, changes)
  local call_it_damaged = 'not a message'
  local function varint(at)
    local value, scale = 0, 1
    for i = at, at + 9 do
      local byte = string.byte(message, i)
      if not byte then error(call_it_damaged, 0) end
      value = value + byte % 128 * scale
      if byte < 128 then return value, i + 1 end
      scale = scale * 128
    end
    error(call_it_damaged, 0)
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
    local start, value = at, nil
    local tag, next_at = varint(at)
    at = next_at
    local number, kind = math.floor(tag / 8), tag % 8
    if kind == 0 then
      value, at = varint(at)
    elseif kind == 2 then
      local length
      length, at = varint(at)
      value, at = string.sub(message, at, at + length - 1), at + length
    elseif kind == 1 or kind == 5 then
      at = at + (kind == 1 and 8 or 4)
    else
      error(call_it_damaged, 0)
    end
    if number == 0 or at > #message + 1 then error(call_it_damaged, 0) end
    found[number] = value
    if changes and changes[number] ~= nil then
      parts[#parts + 1] = string.sub(message, kept_from, start - 1)
      kept_from = at
    end
  end
  if not changes then return found, message end

  parts[#parts + 1] = string.sub(message, kept_from)
  for number, value in pairs(changes) do
    if type(value) == 'number' and value > 0 then
      parts[#parts + 1] = encoded(number * 8) .. encoded(math.floor(value))
    elseif type(value) == 'string' and value ~= '' then
      parts[#parts + 1] = encoded(number * 8 + 2) .. encoded(#value) .. value
    end
  end
  return found, table.concat(parts)
end
