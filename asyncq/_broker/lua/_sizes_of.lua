-- sizes_of: how many tasks of a queue are in each state, the last of them in groups; and how many groups
-- there are. Then what is left of `there` and of `left`.
--
-- `keys` has, behind `base`: pending, lease, scheduled, retry, archived, completed, groups, aggregation_sets.
-- Of these, and of what else was asked about together with them, `there` exist: when all of these were met,
-- the others are known to be empty and are not asked. Most queues have little of all this, and there may be
-- thousands of them. Of more groups and sets than `left` the sizes are not added up.
local function sizes_of(keys, base, flow, prefix, there, left)
  local sizes, sets = {0, 0, 0, 0, 0, 0, 0, 0}, 0
  for i = 1, 8 do
    if there == 0 then break end
    local size = redis.pcall(i == 1 and 'LLEN' or i == 7 and 'SCARD' or 'ZCARD', keys[base + i])
    -- What holds something else than it should is there, too, and counts nothing.
    if size ~= 0 then there = there - 1 end
    size = tonumber(size) or 0
    if i < 7 then sizes[i] = size elseif i == 7 then sizes[8] = size else sets = size end
  end
  local number_of_sets = sizes[8] + sets
  if number_of_sets > left then
    local elsewhere = 0
    for i = 1, 6 do elsewhere = elsewhere + sizes[i] end
    sizes[7] = more_than_counted(flow, elsewhere, keys[base + 7], keys[base + 8], prefix)
  elseif number_of_sets > 0 then
    left = left - number_of_sets
    local function add(key, beside)
      local size = tonumber(redis.pcall('ZCARD', key)) or 0
      if size == 0 then confirm(key, beside) end
      sizes[7] = sizes[7] + size
    end
    for _, name in ipairs(redis.pcall('SMEMBERS', keys[base + 7])) do add(prefix .. name, keys[base + 7]) end
    for _, key in ipairs(redis.pcall('ZRANGE', keys[base + 8], 0, -1)) do add(key, keys[base + 8]) end
  end
  return sizes, there, left
end
