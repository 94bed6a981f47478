-- note_group: write into the hash of a new task which group it is in.
--
-- INCLUDE write_task
--
-- Not of one that waits for its time: its message says it, and our forwarder reads it there (_group_of.lua).
-- Go's would put such a task into the group without listing the group, and nobody would ever look there. So
-- it runs the task by itself, as it does with those that Go enqueues.
local function note_group(task, group, is_in_it)
  if is_in_it then write_task(task, 'group', group) end
end
