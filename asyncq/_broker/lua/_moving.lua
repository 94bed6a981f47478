-- moving: whether what ended a part of a script is that a key is on its way to another node of a cluster.
--
-- An error is a text or a table, as the version of Redis has it. These words are in all of them.
local function moving(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  return string.find(text, 'access a non local key', 1, true) ~= nil
end
