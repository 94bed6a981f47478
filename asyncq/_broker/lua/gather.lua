-- gather: take the groups whose time has come, of several queues, each into an aggregation set under a lease.
--
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE moving
-- INCLUDE begin
-- INCLUDE disband
--
-- KEYS  receipt     Q receipt:<server>.groups, of the first queue
-- KEYS  ...         for each queue: Q groups, Q aggregation_sets, Q gathering
-- ARGV  again       '1' when this call was sent before
-- ARGV  server      id of the server
-- ARGV  number      of this call among those of the server; names the sets
-- ARGV  want        how many sets at the most
-- ARGV  first       number of the queue that is the first to give one
-- ARGV  page        about so many groups are looked at in each queue
-- ARGV  lease       seconds for which a set belongs to the server
-- ARGV  grace       a group is ripe so many seconds after its latest task came
-- ARGV  max_delay   or so many seconds after its oldest one did; 0 for no limit
-- ARGV  max_size    or when it has so many; tasks in one set at the most
-- ARGV  keep        seconds to remember that this server looks after groups
-- ARGV  special     msgpack [[prefix, grace, max_delay, max_size] ...] for groups whose names begin so, the
--                   longest prefix first
-- ARGV  sizes       at which groups are full, the smallest first, with spaces between
-- ARGV  ...         for each queue: prefix of its groups, cursor, msgpack [group to leave alone ...]
-- REPLY [seconds until the next is ripe or '', [cursor of each queue: '0' when all were seen, or unusable],
--       then for each set: queue number, group, key of the set, tasks in it]
--
-- A group is taken in one piece by renaming it. Sets whose lease ran out become groups again, first of
-- all. Groups and sets cannot be declared: their names are read here. They have the slot of their queue.
local PER_QUEUE, RECLAIMED = 3, 10
local now = clock()
local server, number, want = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lease, grace = tonumber(ARGV[7]), tonumber(ARGV[8])
local max_delay, max_size = tonumber(ARGV[9]), tonumber(ARGV[10])
local special, sizes = cmsgpack.unpack(ARGV[12]), ARGV[13]
local smallest = tonumber(string.match(sizes, '^%d+'))
local queues = (#KEYS - 1) / PER_QUEUE
local cursors, sent, soonest, candidates = {}, {number}, nil, {}
local reply = {'', cursors}

local function tell(queue, name, set, size)
  for _, item in ipairs({queue, name, set, size}) do reply[#reply + 1] = item end
end

local receipt = redis.call('GET', KEYS[1])
if receipt then
  local known = cmsgpack.unpack(receipt)
  if known[1] >= number then
    -- The first sending of a call may arrive after the second, from the buffer of a server that was
    -- frozen meanwhile. Nobody waits for its answer: it must not take anything.
    for queue = 1, queues do cursors[queue] = '0' end
    for i = 2, known[1] == number and #known or 0, 4 do
      local listed = redis.pcall('ZSCORE', KEYS[known[i] * PER_QUEUE], known[i + 2])
      if type(listed) == 'string' then tell(known[i], known[i + 1], known[i + 2], known[i + 3]) end
    end
    reply[1] = '0'
    return reply
  end
end
begin(KEYS[3])

local function sooner(moment)
  if not soonest or moment < soonest then soonest = moment end
end

-- Call it; where it fails because keys are on their way to another node, be back soon.
local function attempt(...)
  local is_well, problem = pcall(...)
  local is_moving = not is_well and moving(problem)
  if is_moving then sooner(now + 1) end
  return is_well, is_moving
end

local function give_back(base, prefix, set)
  disband(KEYS[base + 1], KEYS[base + 2], prefix, set)
end

local function reclaim(base, prefix)
  local sets, given_back = KEYS[base + 2], 0
  local ended = redis.call('ZRANGEBYSCORE', sets, '-inf', now, 'LIMIT', 0, RECLAIMED)
  for _, set in ipairs(ended) do
    if attempt(give_back, base, prefix, set) then given_back = given_back + 1 end
  end
  if #ended == RECLAIMED and given_back > 0 then sooner(now) end
  local next_end = redis.call('ZRANGEBYSCORE', sets, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if next_end then sooner(tonumber(next_end)) end
end

local function terms(name)
  for _, one in ipairs(special) do
    if string.sub(name, 1, #one[1]) == one[1] then return one[2], one[3], one[4] end
  end
  return grace, max_delay, max_size
end

-- The second at which a group is ripe; nil when there is no such group.
local function ripens(key, name)
  local size = redis.pcall('ZCARD', key)
  if type(size) == 'table' and moving(size) then redis.call('ZCARD', key) end
  if type(size) ~= 'number' or size == 0 then return nil, size == 0 end
  local oldest = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
  local its_grace, its_delay, its_size = terms(name)
  if size >= its_size then return math.min(oldest, now) end
  local newest = tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2])
  local moment = newest + its_grace
  if its_delay > 0 then moment = math.min(moment, oldest + its_delay) end
  return moment
end

local function look(queue)
  local base, argument = 1 + (queue - 1) * PER_QUEUE, 14 + (queue - 1) * 3
  local prefix, cursor = ARGV[argument], ARGV[argument + 1]
  local known = redis.pcall('GET', KEYS[base + 3])
  -- Where servers do not agree, those with the smallest size are told in time.
  local least = type(known) == 'string' and tonumber(string.match(known, '^%d+'))
  if type(known) ~= 'table' and not (least and least < smallest) then
    redis.call('SET', KEYS[base + 3], sizes, 'EX', ARGV[11])
  end
  reclaim(base, prefix)
  local left_alone = {}
  for _, name in ipairs(cmsgpack.unpack(ARGV[argument + 2])) do left_alone[name] = true end
  local scanned = redis.call('SSCAN', KEYS[base + 1], cursor, 'COUNT', ARGV[6])
  for _, name in ipairs(scanned[2]) do
    if not left_alone[name] then
      local moment, is_empty = ripens(prefix .. name, name)
      if is_empty then
        confirm(prefix .. name, KEYS[base + 1])
        redis.call('SREM', KEYS[base + 1], name)
      end
      if moment and moment <= now then
        table.insert(candidates[queue], {name = name, moment = moment})
      elseif moment then
        sooner(moment)
      end
    end
  end
  -- The one that has been ripe for longest comes first.
  table.sort(candidates[queue], function(a, b) return a.moment < b.moment end)
  cursors[queue] = scanned[1]
end

local function take(queue, candidate)
  local base, prefix = 1 + (queue - 1) * PER_QUEUE, ARGV[14 + (queue - 1) * 3]
  local group = prefix .. candidate.name
  local set = group .. ':' .. server .. '.' .. number .. '.' .. (#sent - 1) / 4
  local size = redis.call('ZCARD', group)
  local _, _, most = terms(candidate.name)
  -- The set is listed when it is there: where an error ends this, nothing was changed.
  if size <= most then
    redis.call('RENAME', group, set)
    redis.call('ZADD', KEYS[base + 2], now + lease, set)
    redis.call('SREM', KEYS[base + 1], candidate.name)
  else
    size = most
    redis.call('ZRANGESTORE', set, group, 0, size - 1)
    redis.call('ZADD', KEYS[base + 2], now + lease, set)
    redis.call('ZREMRANGEBYRANK', group, 0, size - 1)
    local moment = ripens(group, candidate.name)
    if moment <= now then table.insert(candidates[queue], candidate) else sooner(moment) end
  end
  tell(queue, candidate.name, set, size)
  for i = #reply - 3, #reply do sent[#sent + 1] = reply[i] end
end

for queue = 1, queues do
  candidates[queue] = {}
  -- A queue of which a key holds something else than it should must not spoil the others.
  local is_well, is_moving = attempt(look, queue)
  if not is_well then cursors[queue], candidates[queue] = is_moving and '0' or 'unusable', {} end
end
local queue, passed_by = tonumber(ARGV[5]), 0
while want > 0 and passed_by < queues do
  local candidate = table.remove(candidates[queue], 1)
  if candidate and attempt(take, queue, candidate) then want = want - 1 end
  passed_by = candidate and 0 or passed_by + 1
  queue = queue % queues + 1
end
for one = 1, queues do
  if #candidates[one] > 0 then sooner(now) end
end
if soonest then reply[1] = tostring(math.max(0, soonest - now)) end
redis.call('SET', KEYS[1], cmsgpack.pack(sent), 'EX', math.ceil(lease) + 60)
return reply
