-- act: run, archive or delete tasks, each if it is in a state that allows it.
--
-- INCLUDE clear_task
-- INCLUDE bygone
-- INCLUDE leave
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE begin
-- INCLUDE confirm
-- INCLUDE ended
-- INCLUDE lock_of
-- INCLUDE wake
--
-- KEYS  pending     Q pending        list
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  retry       Q retry          zset
-- KEYS  archived    Q archived       zset
-- KEYS  completed   Q completed      zset
-- KEYS  groups      Q groups         set
-- KEYS  flow        Q flow           hash
-- KEYS  waiting     Q waiting        zset
-- KEYS  receipt     Q receipt:<sender>  string: number and answer of the sender's last call
-- KEYS  ...         for each task: Q t:<id>
-- ARGV  again       '1' when this call was sent before
-- ARGV  number      of this call among those of the sender
-- ARGV  keep        seconds to keep the receipt
-- ARGV  action      run | archive | delete
-- ARGV  from        the state from which, or '' for any that allows it
-- ARGV  before      Unix seconds; in retry, archived and completed, what ended after that is left alone.
--                   '' for any time
-- ARGV  fresh       '1': tasks that are run have all their retries again
-- ARGV  passed      of pending tasks: how many stand before the first of these, counted from the next to be
--                   taken, as list_pending said it; '' if that is not known
-- ARGV  span        how many stand there from the first to the last of these
-- ARGV  group       prefix of groups
-- ARGV  lock        prefix of unique locks
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  ...         ids
-- REPLY one word for all tasks, or a word each, with commas between:
--       done | missing | newer | later (ask again, it would have taken too long) | gathered (it is being
--       aggregated) | displaced (in no place: damage) | the state, when that does not allow it
--       | late (nobody waits for this call any more)
--
-- Groups and locks cannot be declared: their names are read here. They have the slot of the queue.
--
-- To take an id out of the list takes time in proportion to its length, unless it is known where it
-- stands. So those that stand together are blanked where they stand, and the blanks removed at once.
local DRIFT, SEARCHED = 2000, 200000
local call = redis.call
local now = clock()
local action, from, before, fresh = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7] == '1'
local ZSETS = {scheduled = KEYS[2], retry = KEYS[3], archived = KEYS[4], completed = KEYS[5]}
local ALLOWED = {
  run = {scheduled = true, retry = true, archived = true, completed = true, aggregating = true},
  archive = {pending = true, scheduled = true, retry = true, aggregating = true},
  delete = {
    pending = true, scheduled = true, retry = true, archived = true, completed = true, aggregating = true,
  },
}

local receipt = call('GET', KEYS[9])
if receipt then
  local number, words = string.match(receipt, '^(%d+) (.*)$')
  -- Not only when sent again: see enqueue.lua.
  if number == ARGV[2] then return words end
  if tonumber(number) > tonumber(ARGV[2]) then return 'late' end
end

-- A queue of which these keys hold something else is refused here, before anything is written.
local length = call('LLEN', KEYS[1])
call('ZCARD', KEYS[4])
begin(KEYS[4])

local function examine(id, task)
  local f = read_task(task, 'state', 'unique', 'group', 'failed_at', 'completed_at', 'awaited')
  if f.err or call('HEXISTS', task, 'msg') == 0 then return {word = 'missing'} end
  local t = {id = id, task = task, state = f[1] or 'pending', group = f[3], awaited = f[6]}
  if not ALLOWED[action][t.state] or (from ~= '' and from ~= t.state) then
    t.word = t.state
  elseif before then
    local ended = ({retry = f[4], archived = f[4], completed = f[5]})[t.state]
    if tonumber(ended or 0) > before then t.word = 'newer' end
  end
  if t.word then return t end
  -- All that may be on another node is looked at here, before anything is written.
  if t.state == 'aggregating' then
    t.place = ARGV[10] .. (t.group or '')
    if type(redis.pcall('ZSCORE', t.place, id)) ~= 'string' then
      confirm(t.place, task)
      t.word = 'gathered'
    end
  end
  if action == 'delete' then t.lock = lock_of(task, f[2], ARGV[11], id) end
  return t
end

-- Positions count from the right, where tasks are taken.
local function blank(wanted, first, last)
  last = math.min(last, length - 1)
  if first > last then return end
  local blanked = 0
  for i, id in ipairs(call('LRANGE', KEYS[1], -1 - last, -1 - first)) do
    if wanted[id] then
      call('LSET', KEYS[1], i - last - 2, '')
      wanted[id].is_free, wanted[id] = true, nil
      blanked = blanked + 1
    end
  end
  if blanked == 0 then return end
  call('LREM', KEYS[1], length - last < first and blanked or -blanked, '')
  length = length - blanked
end

local function unlist(wanted, ids)
  local passed = tonumber(ARGV[8])
  if passed then
    local last = passed + tonumber(ARGV[9]) - 1
    blank(wanted, passed, last)
    if next(wanted) then blank(wanted, math.max(0, passed - DRIFT), last + DRIFT / 10) end
  end
  local searched = 0
  for _, id in ipairs(ids) do
    local t = wanted[id]
    if t and searched > 0 and searched + length > SEARCHED then
      t.word = 'later'
    elseif t then
      searched = searched + length
      t.is_free = call('LREM', KEYS[1], -1, id) == 1
      if t.is_free then length = length - 1 else t.word = 'displaced' end
    end
  end
end

local function take_out(t)
  if t.is_free then return end
  local place = t.place or ZSETS[t.state]
  if not place or leave(place, t.id) == 0 then
    t.word = 'displaced'
  elseif t.place and call('EXISTS', t.place) == 0 then
    redis.pcall('SREM', KEYS[6], t.group)
  end
end

local ran, deleted, put_away = 0, 0, 0
local actions = {
  run = function(t)
    call('LPUSH', KEYS[1], t.id)
    clear_task(t.task, 'state', 'reason', 'completed_at', 'result', 'progress')
    write_task(t.task, 'ready_at', tostring(now))
    if fresh then clear_task(t.task, 'retried', 'lost') end
    ran = ran + 1
  end,
  archive = function(t)
    -- A microsecond apart, so that they keep their order.
    call('ZADD', KEYS[4], bygone(now + put_away / 1000000), t.id)
    write_task(t.task, 'state', 'archived', 'reason', 'requested')
    if t.awaited then clear_task(t.task, 'awaited') end
    ended(t.awaited, 'archived', t.task)
    put_away = put_away + 1
  end,
  delete = function(t)
    call('DEL', t.task)
    ended(t.awaited, 'deleted', t.task)
    if t.lock then call('DEL', t.lock) end
    deleted = deleted + 1
  end,
}

local tasks, wanted, listed = {}, {}, {}
for i = 14, #ARGV do
  local t = examine(ARGV[i], KEYS[i - 4])
  tasks[#tasks + 1] = t
  if not t.word and t.state == 'pending' and not wanted[t.id] then
    wanted[t.id] = t
    listed[#listed + 1] = t.id
  end
end
if #listed > 0 then unlist(wanted, listed) end

local words, differs = {}, false
for i, t in ipairs(tasks) do
  if not t.word then take_out(t) end
  if not t.word then
    actions[action](t)
    t.word = 'done'
  end
  words[i] = t.word
  if t.word ~= words[1] then differs = true end
end
if deleted > 0 then redis.pcall('HINCRBY', KEYS[7], 'deleted', deleted) end
if ran > 0 then wake(KEYS[8], ARGV[12], ran, ARGV[13] == '1', now) end
local answer = differs and table.concat(words, ',') or words[1] or 'done'
call('SET', KEYS[9], ARGV[2] .. ' ' .. answer, 'EX', ARGV[3])
return answer
