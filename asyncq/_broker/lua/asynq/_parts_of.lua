-- parts_of: the message of a task as Go has it, and what stands in front of it, the field `extra`.
--
-- `extra` is ours alone. It is one field of protobuf, too, with a number that Go has not given (1000, so it
-- begins with the bytes C2 3E): in front of the message it can be told from it, and both can be read as one.
local function parts_of(both)
  if string.sub(both, 1, 2) ~= '\194\62' then return both, '' end
  local length, scale, at = 0, 1, 3
  repeat
    local byte = string.byte(both, at) or 0
    length, scale, at = length + byte % 128 * scale, scale * 128, at + 1
  until byte < 128
  return string.sub(both, at + length), string.sub(both, 1, at + length - 1)
end
