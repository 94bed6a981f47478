-- lock_of: the key of the lock that a unique task has; nil if it has none, or if it is another task's.
--
-- `suffix` is what the hash of the task says of it, `locks` the prefix of locks. The key cannot be declared,
-- as its name is read. Ends with an error if the lock may be on another node of a cluster (see _confirm.lua):
-- so this is asked before anything is written.
local function lock_of(task, suffix, locks, id)
  if type(suffix) ~= 'string' then return end
  local lock = locks .. suffix
  local owner = redis.pcall('GET', lock)
  if type(owner) ~= 'string' then redis.call('EXISTS', lock, task) end
  if owner == id then return lock end
end
