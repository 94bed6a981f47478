-- note_group: write into the hash of a new task which group it is in, or will be in when it is due.
--
-- INCLUDE write_task
local function note_group(task, group)
  write_task(task, 'group', group)
end
