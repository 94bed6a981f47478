-- group_of: the group of a task that waited for its time, from its hash, or from its message.
--
-- INCLUDE facts
--
-- Go writes it into the message alone for a task that is to join its group later, and its servers run such
-- a task by itself. We do what whoever enqueued it asked for.
local function group_of(group, message)
  if group then return group end
  local is_fine, known = pcall(facts, message)
  return is_fine and known[114] ~= '' and known[114]
end
