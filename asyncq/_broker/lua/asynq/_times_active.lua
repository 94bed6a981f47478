-- times_active: how many times the list of active tasks holds an id.
--
-- INCLUDE active_list
--
-- It is read once in a call, as many ids are asked about; only one that is very long is searched for each.
local LONGEST_READ = 50000
local times, known_size
local function times_active(lease, id)
  local list = active_list(lease)
  known_size = known_size or redis.call('LLEN', list)
  if known_size > LONGEST_READ then return #redis.call('LPOS', list, id, 'COUNT', 0) end
  if not times then
    times = {}
    for _, one in ipairs(redis.call('LRANGE', list, 0, -1)) do times[one] = (times[one] or 0) + 1 end
  end
  return times[id] or 0
end
