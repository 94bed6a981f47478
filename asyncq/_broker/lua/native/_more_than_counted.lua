-- more_than_counted: tasks in groups, where there are too many groups to add up their sizes: what was created
-- and is neither gone nor elsewhere, by the account of the queue.
local function more_than_counted(flow, elsewhere)
  local known = redis.pcall('HGETALL', flow)
  if known.err then return 0 end
  local count = -elsewhere
  for i = 1, #known, 2 do
    local value = tonumber(known[i + 1]) or 0
    if known[i] ~= 'created' and known[i] ~= 'corrected' then value = -value end
    count = count + value
  end
  return math.max(0, count)
end
