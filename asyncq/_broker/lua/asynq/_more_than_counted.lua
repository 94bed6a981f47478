-- more_than_counted: tasks in groups, where there are too many groups to add up their sizes: about as many in
-- each as in those that are looked at, for Go keeps no account.
local function more_than_counted(_, _, groups, sets, prefix)
  local LOOKED_AT = 200
  local function estimate(all, head, names)
    local sum = 0
    if type(all) ~= 'number' or #names == 0 then return 0 end
    for _, name in ipairs(names) do sum = sum + (tonumber(redis.pcall('ZCARD', head .. name)) or 0) end
    return math.floor(sum / #names * all + 0.5)
  end
  return estimate(redis.pcall('SCARD', groups), prefix, redis.pcall('SRANDMEMBER', groups, LOOKED_AT))
    + estimate(redis.pcall('ZCARD', sets), '', redis.pcall('ZRANGE', sets, 0, LOOKED_AT - 1))
end
