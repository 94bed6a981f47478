-- aggregate: enqueue one task in place of all tasks of an aggregation set, which are forgotten.
--
-- INCLUDE compare_task
-- INCLUDE wait_until
-- INCLUDE moment
-- INCLUDE next_due
-- INCLUDE note_group
-- INCLUDE read_task
-- INCLUDE store_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE begin
-- INCLUDE ended
-- INCLUDE lock_of
-- INCLUDE wake
-- INCLUDE place
--
-- KEYS  set               Q g:<group>:<set>   zset, of the queue of the group
-- KEYS  aggregation_sets  Q aggregation_sets  zset, of the same
-- KEYS  flow              Q flow              hash, of the same
-- KEYS  awaited           Q awaited           string, of the same: somebody waits for tasks of this queue
-- KEYS  scheduled         Q scheduled         zset, of the queue of the new task
-- KEYS  groups            Q groups            set, of the same
-- KEYS  pending           Q pending           list, of the same
-- KEYS  into              Q flow              hash, of the same
-- KEYS  waiting           Q waiting           zset, of the same
-- KEYS  task              Q t:<id>            hash, of the new task
-- KEYS  ...         then its lock if it is unique, then if it is grouped its group and Q gathering
-- ARGV  again       '1' when this call was sent before
-- ARGV  size        how many tasks were read from the set
-- ARGV  tasks       prefix of task hashes, of the queue of the group
-- ARGV  locks       prefix of unique locks, of the same
-- ARGV  new_tasks   prefix of task hashes, of the queue of the new task
-- ARGV  channel     prefix of the servers' channels
-- ARGV  news        channel of all servers
-- ARGV  in_cluster  '1' or ''
-- ARGV  id          of the new task; '' when it was enqueued elsewhere, and the set only has to go
-- ARGV  message     of the new task
-- ARGV  detail      msgpack [at, delay, lock seconds, lock suffix, group]
-- REPLY pending | scheduled | aggregating | done (no new task) | already (it was done before)
--       | conflict | duplicate | unusable | gone (the set is somebody else's)
--       | changed (there are not as many tasks in it as were read)
--
-- Both happen in this one script, so no crash can come between: nothing is lost, and nothing aggregated
-- twice. With any but the first five words nothing was changed. The hashes of the tasks cannot be
-- declared: their names are read here.
local STEP = 500
local now = clock()
if not redis.call('ZSCORE', KEYS[2], KEYS[1]) then
  return compare_task(KEYS[10], ARGV[10]) == 'already' and 'already' or 'gone'
end
local size = redis.call('ZCARD', KEYS[1])
if size ~= tonumber(ARGV[2]) then return 'changed' end

-- A queue of which these keys hold something else is refused here, before anything is written.
redis.call('LLEN', KEYS[7])
local before = next_due(KEYS[5])

-- All of what goes is looked at before anything goes: what is on its way from another node of a cluster
-- must end this while nothing is half done (see _confirm.lua).
local is_awaited = redis.pcall('EXISTS', KEYS[4]) == 1
local pages, locks, heard = {}, {}, {}
for first = 0, size - 1, STEP do
  local page = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], first, first + STEP - 1)) do
    local task = ARGV[3] .. id
    page[#page + 1] = task
    locks[#locks + 1] = lock_of(task, read_task(task, 'unique')[1], ARGV[4], id)
    local channels = is_awaited and redis.pcall('HGET', task, 'awaited')
    if type(channels) == 'string' then heard[#heard + 1] = {channels, task} end
  end
  redis.call('EXISTS', KEYS[1], unpack(page))
  pages[#pages + 1] = page
end

begin(KEYS[1])
local word, due, is_news = 'done', nil, false
if ARGV[9] ~= '' then
  local _, _, lock_seconds, _, group = unpack(cmsgpack.unpack(ARGV[11]))
  local at, mine, key = {scheduled = KEYS[5], groups = KEYS[6], tasks = ARGV[5]}, {task = KEYS[10]}, 10
  if lock_seconds > 0 then key = key + 1; mine.lock = KEYS[key] end
  if group ~= '' then mine.group, mine.gathering = KEYS[key + 1], KEYS[key + 2] end
  -- A lock that an aggregated task holds goes over to the task that stands for it.
  local heir_of = ARGV[3] == ARGV[5] and KEYS[1]
  word, due, is_news = place(at, mine, ARGV[9], ARGV[10], ARGV[11], now, heir_of)
  if word == 'conflict' or word == 'duplicate' or word == 'unusable' then return word end
  if word == 'pending' then redis.call('LPUSH', KEYS[7], ARGV[9]) end
  if word ~= 'already' then redis.pcall('HINCRBY', KEYS[8], 'created', 1) end
end

for _, lock in ipairs(locks) do
  if redis.call('GET', lock) ~= ARGV[9] then redis.call('DEL', lock) end
end
for _, page in ipairs(pages) do redis.call('DEL', unpack(page)) end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], KEYS[1])
redis.pcall('HINCRBY', KEYS[3], 'aggregated', size)
for _, one in ipairs(heard) do ended(one[1], 'aggregated', one[2]) end
if word == 'pending' then wake(KEYS[9], ARGV[6], 1, ARGV[8] == '1', now) end
if word == 'scheduled' and (not before or due < before) then
  redis.call('PUBLISH', ARGV[7], 'due')
end
if is_news then redis.call('PUBLISH', ARGV[7], 'groups') end
return word
