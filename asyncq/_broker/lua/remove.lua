-- remove: take a queue away, a bounded part of it with each call.
--
-- INCLUDE active_list
-- INCLUDE ask_to_stop
-- INCLUDE leave
-- INCLUDE let_go
-- INCLUDE read_task
-- INCLUDE begin
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE ended
-- INCLUDE lock_of
--
-- KEYS  pending           Q pending           list
-- KEYS  lease             Q lease             zset
-- KEYS  scheduled         Q scheduled         zset
-- KEYS  retry             Q retry             zset
-- KEYS  archived          Q archived          zset
-- KEYS  completed         Q completed         zset
-- KEYS  groups            Q groups            set
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- KEYS  flow              Q flow              hash
-- KEYS  paused            Q paused            string
-- KEYS  receipt           Q receipt:<who>     string: number and answer of the caller's last call
-- KEYS  ...               what else goes with the queue, at the end
-- ARGV  again       '1' when this call was sent before
-- ARGV  number      of this call among the caller's
-- ARGV  keep        seconds to keep the receipt
-- ARGV  force       '1' to remove tasks, '' to remove the queue only if it has none
-- ARGV  limit       tasks and groups to remove at the most
-- ARGV  tasks       prefix of task hashes
-- ARGV  locks       prefix of unique locks
-- ARGV  group       prefix of groups
-- ARGV  channel     prefix of the servers' channels
-- REPLY [word, removed, pending, active, scheduled, retry, archived, completed, aggregating, damaged]
--       done (nothing of the queue is left) | more | held (not empty, and nothing was done)
--       | late (nobody waits for this call any more); then what is there, and how many keys are damaged
--
-- The first call of several pauses the queue, so that nothing more is taken from it. The server of a task
-- that runs is told to stop it; what it still writes finds no task any more. All is read before the first
-- write, so a slot that is on its way to another node leaves nothing half done.
--
-- Receipts stay, and expire: they keep calls that are sent again from being carried out twice, those of
-- servers in other queues, too. So do `waiting` and `gathering`: servers go on serving this name.
local KINDS = {'list', 'zset', 'zset', 'zset', 'zset', 'zset', 'set', 'zset', 'hash'}
local MOST_COUNTED = 1000
local force, tasks, locks, groups = ARGV[4] == '1', ARGV[6], ARGV[7], ARGV[8]
local now = clock()

local receipt = redis.pcall('GET', KEYS[11])
if type(receipt) == 'string' then
  local number, answer = string.match(receipt, '^(%d+) (.*)$')
  if number == ARGV[2] then return cmsgpack.unpack(answer) end
  if tonumber(number) > tonumber(ARGV[2]) then return {'late', 0} end
end

local damaged = {}
for i = 1, #KINDS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= KINDS[i] then damaged[i] = true end
end

-- Where there is a list beside `lease`, tasks may stand in it alone.
local list = active_list(KEYS[2])
if list then
  local kind = redis.call('TYPE', list).ok
  if kind ~= 'none' and kind ~= 'list' then list, damaged[0] = nil, true end
end

local function size(i, key)
  if damaged[i] then return 0 end
  local count = redis.call(i == 1 and 'LLEN' or i == 7 and 'SCARD' or 'ZCARD', key or KEYS[i])
  return i == 2 and list and math.max(count, redis.call('LLEN', list)) or count
end

-- The tasks of groups, of some of them where there are very many: enough to say that there are any.
local function aggregating()
  local count = 0
  local function add(key, beside)
    local there = redis.pcall('ZCARD', key)
    if there == 0 or type(there) ~= 'number' then confirm(key, beside) end
    count = count + (tonumber(there) or 0)
  end
  if size(7) > 0 then
    local names = redis.call('SRANDMEMBER', KEYS[7], MOST_COUNTED)
    for _, name in ipairs(names) do add(groups .. name, KEYS[7]) end
  end
  if size(8) > 0 then
    for _, key in ipairs(redis.call('ZRANGE', KEYS[8], 0, MOST_COUNTED - 1)) do add(key, KEYS[8]) end
  end
  return count
end

local function answer(word, removed)
  local reply = {word, removed}
  for i = 1, 6 do reply[#reply + 1] = size(i) end
  reply[#reply + 1] = word == 'done' and 0 or aggregating()
  local count = 0
  for _ in pairs(damaged) do count = count + 1 end
  reply[#reply + 1] = count
  return reply
end

local is_empty = next(damaged) == nil
for i = 1, 8 do is_empty = is_empty and size(i) == 0 end
if not force and not is_empty then
  -- Names of groups in which nothing waits hold no task.
  local there = answer('held', 0)
  for i = 3, #there do
    if there[i] > 0 then return there end
  end
end

-- Read: what goes with this call.
local left = tonumber(ARGV[5])
local parts, removed = {}, 0

local function choose(key, ids)
  for _, id in ipairs(ids) do
    local task = tasks .. id
    local f = read_task(task, 'unique', 'delivery', 'awaited')
    if not f[1] and not f[2] then confirm(task, key) end
    local lock = lock_of(task, f[1], locks, id)
    parts[#parts + 1] = {id = id, task = task, token = f[2], awaited = f[3], lock = lock}
  end
  left = left - #ids
  removed = removed + #ids
end

local function choose_from(key)
  if left <= 0 then return {} end
  local ids = redis.call('ZRANGE', key, 0, left - 1)
  choose(key, ids)
  return ids
end

local from = {}
if size(2) > 0 then from[#from + 1] = {key = KEYS[2], ids = choose_from(KEYS[2])} end
if list and left > 0 then
  -- Those with a lease have just been chosen, or there is no room left.
  local alone = {}
  for _, id in ipairs(redis.call('LRANGE', list, -left, -1)) do
    if type(redis.pcall('ZSCORE', KEYS[2], id)) ~= 'string' then alone[#alone + 1] = id end
  end
  choose(list, alone)
  if #alone > 0 then from[#from + 1] = {key = KEYS[2], ids = alone} end
end
local listed = 0
if size(1) > 0 and left > 0 then
  local ids = redis.call('LRANGE', KEYS[1], -left, -1)
  listed = #ids
  choose(KEYS[1], ids)
end
for i = 3, 6 do
  if size(i) > 0 then from[#from + 1] = {key = KEYS[i], ids = choose_from(KEYS[i])} end
end

local function choose_group(index, name, key)
  if left <= 0 then return end
  local one = {key = key, index = KEYS[index], name = name}
  local there = redis.pcall('ZCARD', key)
  if there == 0 or type(there) ~= 'number' then confirm(key, KEYS[index]) end
  if type(there) == 'number' then
    one.ids = choose_from(key)
    one.stays = #one.ids < there
  end
  -- Names of groups, too, may be very many.
  left = left - 1
  from[#from + 1] = one
end
if size(7) > 0 and left > 0 then
  for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[7], left)) do choose_group(7, name, groups .. name) end
end
if size(8) > 0 and left > 0 then
  for _, key in ipairs(redis.call('ZRANGE', KEYS[8], 0, left - 1)) do choose_group(8, key, key) end
end

-- Write.
begin(KEYS[2])
redis.call('SET', KEYS[10], string.format('removing %.6f', now))
for _, one in ipairs(parts) do
  redis.call('DEL', one.task)
  if one.lock then redis.call('DEL', one.lock) end
  if one.token then ask_to_stop(ARGV[9], one.token, one.id) end
  ended(one.awaited, 'removed', one.task)
end
if listed > 0 then redis.call('LTRIM', KEYS[1], 0, -listed - 1) end
for _, one in ipairs(from) do
  if one.ids and #one.ids > 0 then
    if one.key == KEYS[2] then
      let_go(one.key, unpack(one.ids))
    else
      leave(one.key, unpack(one.ids))
    end
  end
  if one.index and not one.stays then
    redis.call('DEL', one.key)
    redis.call(one.index == KEYS[7] and 'SREM' or 'ZREM', one.index, one.name)
  end
end
for i in pairs(damaged) do redis.call('DEL', KEYS[i] or active_list(KEYS[2])) end
if removed > 0 then redis.call('HINCRBY', KEYS[9], 'removed', removed) end

damaged = {}
local word = 'done'
for i = 1, 8 do
  if size(i) > 0 then word = 'more' end
end
if word == 'done' then
  for i = 1, 10 do redis.call('DEL', KEYS[i]) end
  for i = 12, #KEYS do redis.call('DEL', KEYS[i]) end
end
local reply = answer(word, removed)
redis.call('SET', KEYS[11], ARGV[2] .. ' ' .. cmsgpack.pack(reply), 'EX', ARGV[3])
return reply
