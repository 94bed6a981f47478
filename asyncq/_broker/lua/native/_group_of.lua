-- group_of: the group of a task that waited for its time.
local function group_of(group)
  return group
end
