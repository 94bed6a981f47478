-- unlock: look at unique locks, and remove those that nobody owns.
--
-- INCLUDE read_task
-- INCLUDE write_task
--
-- KEYS  ...         for each lock: Q unique:<suffix>
-- ARGV  again       '1' when this call was sent before
-- ARGV  apply       '1' to put right, '' to judge only
-- ARGV  tasks       prefix of task hashes
-- ARGV  ...         for each lock: suffix, id of the owner whose message names this lock or ''
-- REPLY for each lock: word, owner; the word is
--       fine | gone | dead (the owner is not there) | stray (the owner's hash does not name it) | wrong_type
--
-- The owner's hash cannot be declared: its name is read here.
local reply = {}
for i, lock in ipairs(KEYS) do
  local suffix, vouched = ARGV[2 + i * 2], ARGV[3 + i * 2]
  local word = 'fine'
  local owner = redis.pcall('GET', lock)
  if type(owner) == 'table' then
    word, owner = 'wrong_type', ''
  elseif not owner then
    word, owner = 'gone', ''
  else
    local task = ARGV[3] .. owner
    local named = read_task(task, 'unique')[1]
    -- The lock is there. Asked for together with it, a task on another node of a cluster is an error.
    if redis.call('EXISTS', task, lock) == 1 then
      word = 'dead'
    elseif named ~= suffix then
      word = 'stray'
    end
    if ARGV[2] == '1' and word ~= 'fine' then
      if word == 'stray' and owner == vouched then
        write_task(task, 'unique', suffix)
      else
        redis.call('DEL', lock)
      end
    end
  end
  reply[#reply + 1] = word
  reply[#reply + 1] = owner
end
return reply
