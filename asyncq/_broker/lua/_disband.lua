-- disband: put the tasks of an aggregation set back into their group, as old as they were.
--
-- Where an error ends this, each task is in one of the two, and the set is still listed.
local function disband(groups, sets, prefix, set)
  local STEP = 1000
  local group = string.match(set, '^(.*):[^:]*$')
  local name = group and string.sub(group, #prefix + 1) or ''
  if name == '' or string.sub(set, 1, #prefix) ~= prefix then
    -- Not a name that we gave. There is no group to put anything into.
    redis.call('ZREM', sets, set)
    return
  end
  local left = redis.pcall('ZCARD', set)
  -- Ends with an error where the set is on its way from one node to another (see _confirm.lua).
  if left == 0 then redis.call('EXISTS', set, sets) end
  local refused = type(left) == 'table' and not string.find(left.err, 'WRONGTYPE', 1, true)
  if refused then redis.call('ZCARD', set) end
  if type(left) == 'number' and left > 0 then
    redis.call('SADD', groups, name)
    if redis.call('EXISTS', group) == 0 then
      redis.call('RENAME', set, group)
      left = 0
    end
    while left > 0 do
      local some, turned = redis.call('ZRANGE', set, 0, STEP - 1, 'WITHSCORES'), {}
      for i = 1, #some, 2 do turned[i], turned[i + 1] = some[i + 1], some[i] end
      redis.call('ZADD', group, unpack(turned))
      redis.call('ZREMRANGEBYRANK', set, 0, STEP - 1)
      left = left - STEP
    end
  end
  redis.call('ZREM', sets, set)
end
