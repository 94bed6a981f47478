-- release: give up the lock of a unique task, if it is still the owner. `locks` is the prefix of locks.
--
-- The lock cannot be declared: its name is read in the hash. Ends with an error, before anything is written,
-- if the lock may be on another node of a cluster (see _confirm.lua).
local function release(task, locks, id)
  local suffix = redis.pcall('HGET', task, 'unique')
  if type(suffix) ~= 'string' then return end
  local owner = redis.pcall('GET', locks .. suffix)
  if type(owner) ~= 'string' then redis.call('EXISTS', locks .. suffix, task) end
  if owner == id then redis.call('DEL', locks .. suffix) end
end
