-- begin: the first write of a script, which decides whether Redis lets the others through.
--
-- It takes no memory, so that a full Redis lets work be finished: Redis looks at the first write only, since
-- a script that has written cannot be rolled back. Where Redis refuses every write, because it is a replica
-- or cannot save, the script ends here with that error and nothing is half done.
local function begin(zset)
  local answer = redis.pcall('ZREM', zset, '')
  -- A key that holds something else than it should is no reason to end: there is other work.
  local refused = type(answer) == 'table' and not string.find(answer.err, 'WRONGTYPE', 1, true)
  if refused then redis.call('ZREM', zset, '') end
end
