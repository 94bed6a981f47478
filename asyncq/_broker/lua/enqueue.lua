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
-- ARGV  tasks       prefix of task hashes; what follows it in the key of a task is its id
-- ARGV  times       how many of the tasks are times of entries
-- ARGV  ...         for each task: message, and '' or msgpack
--                   [at, delay, lock seconds, lock suffix, group], and for one time of an entry
--                   [version, begun, msgpack [at, delay, lock seconds, lock suffix, group, nominal,
--                   gap, keep, since, strict, overlap, release]] (_ask_for_tick); '=' is the same as
--                   that of the task before
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
local time, wishes, rules_of = 0, {}, {}
local at = {scheduled = KEYS[2], groups = KEYS[3], tasks = ARGV[7]}

-- What a task that is more than plain asks for. Times of entries that are due at once ask for the same but
-- for their versions, and often for the very same: each is read once.
local function wish_of(detail)
  local d = cmsgpack.unpack(detail)
  local wish
  if #d == 3 then
    local rules = rules_of[d[3]]
    if not rules then
      local r = cmsgpack.unpack(d[3])
      rules = {
        is_plain = r[2] == 0 and r[3] == 0 and r[5] == '', due = r[1], lock = r[3] > 0, group = r[5] ~= '',
        at = r[6], nominal = tonumber(r[6]), gap = r[7], keep = r[8], since = r[9], is_strict = r[10] == '1',
        overlap = r[11], is_release = r[12] == '1',
      }
      rules_of[d[3]] = rules
    end
    -- What stands in front of the rules of a time is what any other task says.
    wish = {
      version = d[1], begun = d[2], rules = rules, detail = d[3], lock = rules.lock, group = rules.group,
    }
  else
    wish = {detail = detail, lock = d[3] > 0, group = d[5] ~= ''}
  end
  wishes[detail] = wish
  return wish
end

-- Count a task that has its place; `word` says which.
local function count(word, id, due, is_news)
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
end

local function special(task, id, message, detail)
  local wish = wishes[detail] or wish_of(detail)
  local rules, lock, group, gathering = wish.rules, nil, nil, nil
  if wish.lock then key = key + 1; lock = KEYS[key] end
  if wish.group then group, gathering = KEYS[key + 1], KEYS[key + 2]; key = key + 2 end

  local word, found, tick
  if rules then
    key = key + 1
    time = time + 1
    tick = KEYS[key]
    word, found = ask_for_tick(tick, wish, fences[time], at.tasks, now)
    if word and word ~= 'overlap' and (word ~= 'queued' or rules.is_release) then return word end
  end
  if not word then
    local due, is_news
    if rules and rules.is_plain then
      -- As plain as a task of an entry mostly is: a thousand of them may be due at once.
      if not store_task(task, message) then
        word = compare_task(task, message)
      elseif rules.due > now then
        word, due = 'scheduled', rules.due
        write_task(task, 'state', word)
        wait_until(at.scheduled, due, id)
      else
        word = 'pending'
      end
    else
      local mine = {task = task, lock = lock, group = group, gathering = gathering}
      word, due, is_news = place(at, mine, id, message, wish.detail, now)
    end
    count(word, id, due, is_news)
  end
  -- Of a duplicate this time is over, too: the other schedulers need not be refused as well.
  local more = rules and word ~= 'unusable' and take_tick(tick, rules, found, word, id, now)
  return more and word .. '+' or word
end

-- A queue of which these keys hold something else is refused here, before anything is written.
redis.call('LLEN', KEYS[1])
local before
for i = 10, #ARGV, 2 do
  if ARGV[i] ~= '' then
    before = next_due(KEYS[2])
    break
  end
end
local detail
for i = 9, #ARGV, 2 do
  local message = ARGV[i]
  if ARGV[i + 1] ~= '=' then detail = ARGV[i + 1] end
  key = key + 1
  local task = KEYS[key]
  local id = string.sub(task, #at.tasks + 1)
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
