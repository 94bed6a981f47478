-- enqueue: store new tasks of one queue and put each where it belongs.
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
-- INCLUDE wake
-- INCLUDE place
-- INCLUDE note_skip
-- INCLUDE ask_for_tick
-- INCLUDE remember
-- INCLUDE take_tick
--
-- KEYS  pending     Q pending        list
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  groups      Q groups         set
-- KEYS  flow        Q flow           hash
-- KEYS  waiting     Q waiting        zset
-- KEYS  receipt     Q receipt:<client>  string: number and answer of the client's last call
-- KEYS  ...         for each task: Q t:<id>, then its lock if unique, then if grouped
--                   its group and Q gathering, then Q tick:<entry> if it is one time of an entry
--                   of schedulers; at the end Q fence:<entry> of each of these
-- ARGV  again       '1' when this call was sent before
-- ARGV  number      of this call among the client's calls to this queue
-- ARGV  keep        seconds to keep the receipt
-- ARGV  channel     prefix of the servers' channels
-- ARGV  news        channel of all servers
-- ARGV  in_cluster  '1' or ''
-- ARGV  tasks       prefix of task hashes, to look at the owner of a lock
-- ARGV  times       how many of the tasks are times of entries
-- ARGV  ...         for each task: id, message, and '' or msgpack
--                   [at, delay, lock seconds, lock suffix, group], and for one time of an entry
--                   [version, begun, msgpack [at, delay, lock seconds, lock suffix, group, nominal,
--                   gap, keep, since, strict, overlap, release]] (_ask_for_tick)
-- REPLY [words, now, is_new]: one word for all tasks, or a word each, with commas between:
--       pending | scheduled | aggregating | already (this very task is there) | conflict | duplicate
--       | taken (another scheduler has enqueued this time of the entry, or a later one)
--       | early (this time of the entry is more than a minute away) | behind (an earlier one is not over)
--       | fenced (the entry has changed) | overlap (left out, the last run is not over) | queued (it waits
--       for the end of that run), with `+` behind it when schedulers have more to do (see recall)
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
local created, differs, earliest, gathered = 0, false, nil, false
local key = 6
-- Asked for together, since they may be many and nearly none is there.
local times = tonumber(ARGV[8])
local fences = times > 0 and redis.call('MGET', unpack(KEYS, #KEYS - times + 1)) or nil
local time, asked_in = 0, {}
local at = {scheduled = KEYS[2], groups = KEYS[3], tasks = ARGV[7]}

-- What one time of an entry asks for. Most of it is the same for all that are due at once, and read once.
local function asked_by(version, begun, rules)
  local asked = asked_in[rules]
  if not asked then
    local d = cmsgpack.unpack(rules)
    asked = {
      lock = d[3] > 0, group = d[5] ~= '', is_plain = d[1] == 0 and d[2] == 0 and d[3] == 0 and d[5] == '',
      at = d[6], nominal = tonumber(d[6]), gap = d[7], keep = d[8], since = d[9], strict = d[10],
      overlap = d[11], release = d[12],
    }
    asked_in[rules] = asked
  end
  time = time + 1
  asked.version, asked.begun, asked.fence = version, begun, fences[time]
  asked.run, asked.queued, asked.kept, asked.missed_after, asked.cancels = nil, nil, nil, nil, nil
  return asked
end

local function special(task, id, message, detail)
  local d = cmsgpack.unpack(detail)
  local mine, asked = {task = task}, nil
  local has_lock, has_group
  if #d == 3 then
    detail = d[3]  -- begins as that of any other task
    asked = asked_by(d[1], d[2], detail)
    has_lock, has_group = asked.lock, asked.group
  else
    has_lock, has_group = d[3] > 0, d[5] ~= ''
  end
  if has_lock then key = key + 1; mine.lock = KEYS[key] end
  if has_group then mine.group, mine.gathering = KEYS[key + 1], KEYS[key + 2]; key = key + 2 end

  local word, due, is_news
  if asked then
    key = key + 1
    mine.tick = KEYS[key]
    word = ask_for_tick(mine, asked, at.tasks, now)
    if word and word ~= 'overlap' and (word ~= 'queued' or asked.release == '1') then return word end
  end
  if asked and not word and asked.is_plain then
    -- As plain as a task of an entry mostly is: a thousand of them may be due at once.
    word = store_task(task, message) and 'pending' or compare_task(task, message)
  elseif not word then
    word, due, is_news = place(at, mine, id, message, detail, now)
  end
  -- Of a duplicate this time is over, too: the other schedulers need not be refused as well.
  local more = asked and word ~= 'unusable' and take_tick(mine, asked, word, id, now)
  if word == 'scheduled' then
    created = created + 1
    if not earliest or due < earliest then earliest = due end
  elseif word == 'aggregating' then
    created = created + 1
    gathered = gathered or is_news
  elseif word == 'pending' then
    created = created + 1
    ready[#ready + 1] = id
  end
  return more and word .. '+' or word
end

-- A queue of which these keys hold something else is refused here, before anything is written.
redis.call('LLEN', KEYS[1])
local before
for i = 11, #ARGV, 3 do
  if ARGV[i] ~= '' then
    before = next_due(KEYS[2])
    break
  end
end
for i = 9, #ARGV, 3 do
  local id, message, detail = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  key = key + 1
  local task = KEYS[key]
  local word = 'pending'
  if detail ~= '' then
    word = special(task, id, message, detail)
  elseif store_task(task, message) then
    created = created + 1
    ready[#ready + 1] = id
  else
    -- An id that is not free is no reason to leave those before it without a place.
    word = compare_task(task, message)
  end
  words[#words + 1] = word
  if word ~= words[1] then differs = true end
end

if #ready > 0 then
  redis.call('LPUSH', KEYS[1], unpack(ready))
  wake(KEYS[5], ARGV[4], #ready, ARGV[6] == '1', now)
end
local is_new = created > 0 and redis.pcall('HINCRBY', KEYS[4], 'created', created) == created
if earliest and (not before or earliest < before) then redis.call('PUBLISH', ARGV[5], 'due') end
if gathered then redis.call('PUBLISH', ARGV[5], 'groups') end

local answer = differs and table.concat(words, ',') or words[1]
redis.call('SET', KEYS[6], ARGV[2] .. ' ' .. answer, 'EX', ARGV[3])
return {answer, tostring(now), is_new and '1' or ''}
