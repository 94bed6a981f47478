-- enqueue: store new tasks of one queue and put each where it belongs.
--
-- INCLUDE compare_task
-- INCLUDE wait_until
-- INCLUDE moment
-- INCLUDE next_due
-- INCLUDE read_task
-- INCLUDE store_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE wake
-- INCLUDE place
-- INCLUDE note_skip
-- INCLUDE ask_for_tick
-- INCLUDE take_tick
--
-- KEYS  pending     Q pending        list
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  groups      Q groups         set
-- KEYS  flow        Q flow           hash
-- KEYS  waiting     Q waiting        zset
-- KEYS  receipt     Q receipt:<client>  string: number and answer of the client's last call
-- KEYS  ...         for each task: Q t:<id>, then its lock if unique, then if grouped
--                   its group and Q gathering, then Q tick:<entry> and Q fence:<entry> if it is
--                   one time of an entry of schedulers
-- ARGV  again       '1' when this call was sent before
-- ARGV  number      of this call among the client's calls to this queue
-- ARGV  keep        seconds to keep the receipt
-- ARGV  channel     prefix of the servers' channels
-- ARGV  news        channel of all servers
-- ARGV  in_cluster  '1' or ''
-- ARGV  tasks       prefix of task hashes, to look at the owner of a lock
-- ARGV  ...         for each task: id, message, and '' or msgpack
--                   [at, delay, lock seconds, lock suffix, group], and for one time of an entry
--                   [..., nominal, gap, keep, since, strict, version, overlap, release, begun]
--                   (_ask_for_tick)
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
local at = {scheduled = KEYS[2], groups = KEYS[3], tasks = ARGV[7]}

local function special(task, id, message, detail)
  local d = cmsgpack.unpack(detail)
  local mine, asked = {task = task}, nil
  if d[3] > 0 then key = key + 1; mine.lock = KEYS[key] end
  if d[5] ~= '' then mine.group, mine.gathering = KEYS[key + 1], KEYS[key + 2]; key = key + 2 end
  if d[6] then
    mine.tick, mine.fence, key = KEYS[key + 1], KEYS[key + 2], key + 2
    asked = {
      nominal = d[6], gap = d[7], keep = d[8], since = d[9], strict = d[10],
      version = d[11], overlap = d[12], release = d[13], begun = d[14],
    }
  end

  local word, due, is_news
  if asked then
    word = ask_for_tick(mine, asked, at.tasks, now)
    if word and word ~= 'overlap' and (word ~= 'queued' or asked.release == '1') then return word end
  end
  if asked and not word and d[1] == 0 and d[2] == 0 and d[3] == 0 and d[5] == '' then
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
for i = 10, #ARGV, 3 do
  if ARGV[i] ~= '' then
    before = next_due(KEYS[2])
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
