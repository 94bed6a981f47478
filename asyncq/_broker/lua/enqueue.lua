-- enqueue: store new tasks of one queue and put each where it belongs.
--
-- INCLUDE clock
-- INCLUDE wake
--
-- KEYS  pending     Q pending        list
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  groups      Q groups         set
-- KEYS  flow        Q flow           hash
-- KEYS  waiting     Q waiting        zset
-- KEYS  receipt     Q receipt:<client>  string: number and answer of the client's last call
-- KEYS  ...         for each task: Q t:<id>, then its lock if unique, then its group if grouped
-- ARGV  again       '1' when this call was sent before
-- ARGV  number      of this call among the client's calls to this queue
-- ARGV  keep        seconds to keep the receipt
-- ARGV  channel     prefix of the servers' channels
-- ARGV  news        channel of all servers
-- ARGV  in_cluster  '1' or ''
-- ARGV  tasks       prefix of task hashes, to look at the owner of a lock
-- ARGV  ...         for each task: id, message, and '' or msgpack
--                   [at, delay, lock seconds, lock suffix, group]
-- REPLY [words, now, is_new]: one word for all tasks, or a word each, with commas between:
--       pending | scheduled | aggregating | already (this very task is there) | conflict | duplicate
--       | late (nobody waits for this call any more); `is_new` is '1' if these may be the first tasks since
--       the queue was made or removed, so that its name has to be published, else ''
--
-- The first write is one that Redis refuses when its memory is full, so a full Redis refuses the
-- whole call and not half of it.
local now = clock()
local receipt = redis.call('GET', KEYS[6])
if receipt then
  local number, words = string.match(receipt, '^(%d+) (.*)$')
  -- Not only when sent again: the first sending may arrive after the second, from the buffer of
  -- a server that was frozen meanwhile.
  if number == ARGV[2] then return {words, tostring(now), '1'} end
  if tonumber(number) > tonumber(ARGV[2]) then return {'late', tostring(now), ''} end
end

local words, ready = {}, {}
local created, differs, earliest = 0, false, nil
local key = 6

local function special(task, id, message, detail)
  local at, delay, lock_seconds, suffix, group = unpack(cmsgpack.unpack(detail))
  local lock, group_key
  if lock_seconds > 0 then key = key + 1; lock = KEYS[key] end
  if group ~= '' then key = key + 1; group_key = KEYS[key] end

  if redis.call('EXISTS', task) == 1 then
    return redis.call('HGET', task, 'msg') == message and 'already' or 'conflict'
  end
  if lock then
    -- A lock whose owner is gone holds nobody up.
    local owner = redis.pcall('GET', lock)
    if type(owner) == 'table' then return 'unusable' end
    if owner and redis.call('EXISTS', ARGV[7] .. owner) == 1 then return 'duplicate' end
  end

  if group_key and type(redis.pcall('ZCARD', group_key)) == 'table' then return 'unusable' end

  local due = at
  if delay > 0 then due = now + delay end
  local word = 'pending'
  if due > now then word = 'scheduled' elseif group_key then word = 'aggregating' end
  redis.call('HSET', task, 'msg', message)
  created = created + 1
  -- A task without a `state` is pending: most are, and the field would be a seventh of their memory.
  if word ~= 'pending' then redis.call('HSET', task, 'state', word) end
  if lock then
    redis.call('HSET', task, 'unique', suffix)
    redis.call('SET', lock, id, 'PX', math.ceil((lock_seconds + math.max(0, due - now)) * 1000))
  end
  if group_key then redis.call('HSET', task, 'group', group) end
  if word == 'scheduled' then
    redis.call('ZADD', KEYS[2], due, id)
    if not earliest or due < earliest then earliest = due end
  elseif word == 'aggregating' then
    redis.call('ZADD', group_key, now, id)
    redis.pcall('SADD', KEYS[3], group)
  else
    ready[#ready + 1] = id
  end
  return word
end

-- A queue of which these keys hold something else is refused here, before anything is written.
redis.call('LLEN', KEYS[1])
local before
for i = 10, #ARGV, 3 do
  if ARGV[i] ~= '' then
    before = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    break
  end
end
for i = 8, #ARGV, 3 do
  local id, message, detail = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  key = key + 1
  local task = KEYS[key]
  local word = 'pending'
  if detail ~= '' then
    word = special(task, id, message, detail)
  elseif redis.call('HSETNX', task, 'msg', message) == 1 then
    created = created + 1
    ready[#ready + 1] = id
  else
    word = redis.call('HGET', task, 'msg') == message and 'already' or 'conflict'
  end
  words[#words + 1] = word
  if word ~= words[1] then differs = true end
end

if #ready > 0 then
  redis.call('LPUSH', KEYS[1], unpack(ready))
  wake(KEYS[5], ARGV[4], #ready, ARGV[6] == '1', now)
end
local is_new = created > 0 and redis.pcall('HINCRBY', KEYS[4], 'created', created) == created
if earliest and (not before or earliest < tonumber(before)) then redis.call('PUBLISH', ARGV[5], 'due') end

local answer = differs and table.concat(words, ',') or words[1]
redis.call('SET', KEYS[6], ARGV[2] .. ' ' .. answer, 'EX', ARGV[3])
return {answer, tostring(now), is_new and '1' or ''}
