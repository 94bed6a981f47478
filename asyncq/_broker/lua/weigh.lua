-- weigh: estimate the memory of a queue from samples.
--
-- INCLUDE confirm
--
-- KEYS  pending           Q pending           list
-- KEYS  lease             Q lease             zset
-- KEYS  scheduled         Q scheduled         zset
-- KEYS  retry             Q retry             zset
-- KEYS  archived          Q archived          zset
-- KEYS  completed         Q completed         zset
-- KEYS  groups            Q groups            set
-- KEYS  ...               other keys of the queue, of a fixed size
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  samples     tasks of each state, and groups, that are looked at
-- ARGV  tasks       prefix of task hashes
-- ARGV  group       prefix of groups
-- REPLY [other, then pending, active, scheduled, retry, archived, completed, aggregating, each as
--       [tasks, bytes of what lists them, tasks looked at, bytes of these]]; `other` is bytes
--
-- Of aggregating, tasks and bytes are those of the groups looked at, and behind them stands the number of
-- groups looked at and of all: the others are taken to be like these.
local samples = tonumber(ARGV[2])

local function bytes(key)
  return tonumber(redis.pcall('MEMORY', 'USAGE', key)) or 0
end

local function weigh(ids, beside)
  local looked, sum = 0, 0
  for _, id in ipairs(ids) do
    local one = bytes(ARGV[3] .. id)
    if one == 0 then confirm(ARGV[3] .. id, beside) end
    looked, sum = looked + 1, sum + one
  end
  return looked, sum
end

local function spread(key, count)
  local ids = {}
  local wanted = math.min(count, samples)
  for i = 0, wanted - 1 do
    local at = math.floor(i * count / wanted)
    ids[#ids + 1] = redis.call('ZRANGE', key, at, at)[1]
  end
  return ids
end

local function of_list()
  local count = tonumber(redis.pcall('LLEN', KEYS[1])) or 0
  if count == 0 then return {0, 0, 0, 0} end
  -- From both ends: Redis would have to walk to the middle.
  local half = math.ceil(samples / 2)
  local ids = redis.call('LRANGE', KEYS[1], 0, half - 1)
  if count > half then
    local more = redis.call('LRANGE', KEYS[1], math.max(half, count - half), -1)
    for _, id in ipairs(more) do ids[#ids + 1] = id end
  end
  return {count, bytes(KEYS[1]), weigh(ids, KEYS[1])}
end

local function of_zset(key)
  local count = tonumber(redis.pcall('ZCARD', key)) or 0
  if count == 0 then return {0, 0, 0, 0} end
  return {count, bytes(key), weigh(spread(key, count), key)}
end

local function of_groups()
  local all = tonumber(redis.pcall('SCARD', KEYS[7])) or 0
  local names = all > 0 and redis.call('SRANDMEMBER', KEYS[7], samples) or {}
  local count, listing, looked, sum = 0, 0, 0, 0
  for _, name in ipairs(names) do
    local key = ARGV[4] .. name
    local there = tonumber(redis.pcall('ZCARD', key)) or 0
    if there == 0 then
      confirm(key, KEYS[7])
    else
      local one, weight = weigh({redis.call('ZRANGE', key, 0, 0)[1]}, key)
      count, listing, looked, sum = count + there, listing + bytes(key), looked + one, sum + weight
    end
  end
  return {count, listing, looked, sum, #names, all}
end

local other = bytes(KEYS[7])
for i = 8, #KEYS do other = other + bytes(KEYS[i]) end
local reply = {other, of_list()}
for i = 2, 6 do reply[#reply + 1] = of_zset(KEYS[i]) end
reply[#reply + 1] = of_groups()
return reply
