-- mend: judge ids by everything that holds them at one moment, and put right what is wrong.
--
-- INCLUDE active_list
-- INCLUDE allowance
-- INCLUDE clear_task
-- INCLUDE bygone
-- INCLUDE hold
-- INCLUDE leave
-- INCLUDE let_go
-- INCLUDE moment
-- INCLUDE read_task
-- INCLUDE times_active
-- INCLUDE trace_of
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE wake
-- INCLUDE whereabouts
-- INCLUDE verdict
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
-- KEYS  waiting           Q waiting           zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  apply       '1' to put right, '' to judge only
-- ARGV  tasks       prefix of task hashes
-- ARGV  group       prefix of groups
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  ...         for each id: id, msgpack [seconds a completed task is kept, groups in which it was seen,
--                   trace it had when the list was read and did not hold it, or '']
-- REPLY for each id: [kinds, places, times in pending, state, place where it belongs];
--       kinds and places with commas between
--
-- The whole list is searched for an id without such a trace, so the caller gives few of them when it is
-- long. Nothing that has a message is ever removed. Sent again, it finds nothing wrong and does nothing.
local LEASE = 30
local now = clock()
local at = {
  pending = KEYS[1], lease = KEYS[2], scheduled = KEYS[3], retry = KEYS[4], archived = KEYS[5],
  completed = KEYS[6], aggregation_sets = KEYS[8], tasks = ARGV[3], group = ARGV[4],
}

local function take_out(w, i)
  if w.places[i] == 'active' or w.places[i] == 'unleased' then
    for _ = 1, math.max(1, w.running or 1) do let_go(at.lease, w.id) end
  else
    leave(w.zset[i], w.id)
  end
end

local function remove(w)
  for i = 1, #w.zset do take_out(w, i) end
  if w.listed > 0 then redis.call('LREM', at.pending, 0, w.id) end
  redis.call('DEL', w.task)
  redis.call('HINCRBY', KEYS[9], 'vanished', 1)
end

local function put(w, home, keep)
  if home == 'pending' then
    redis.call('RPUSH', at.pending, w.id)
    -- Changes the trace: another doctor, or the same call sent again, must search the list.
    redis.call('HINCRBY', w.task, 'mended', 1)
    wake(KEYS[10], ARGV[5], 1, ARGV[6] == '1', now)
  elseif home == 'group' then
    redis.call('ZADD', at.group .. w.group, moment(now), w.id)
    redis.call('SADD', KEYS[7], w.group)
  elseif home == 'completed' then
    local ended = tonumber(read_task(w.task, 'completed_at')[1] or '')
    redis.call('ZADD', at.completed, moment((ended or now) + keep), w.id)
  elseif home == 'archived' then
    local failed = tonumber(read_task(w.task, 'failed_at')[1] or '')
    redis.call('ZADD', at.archived, bygone(failed or now), w.id)
  elseif home == 'active' then
    -- Whoever works on it prolongs this, and everybody else takes the task back when it is over.
    hold(at.lease, w.lease or now + LEASE, {w.id})
  end
end

local function settle_down(w, home, keep)
  local is_there = home == 'pending' and w.listed > 0
  for i = 1, #w.zset do
    local is_even = w.places[i] ~= 'active' or not w.running or w.running == 1
    if w.places[i] == home and not is_there and is_even then
      is_there = true
    else
      take_out(w, i)
    end
  end
  if home ~= 'pending' and w.listed > 0 then
    redis.call('LREM', at.pending, 0, w.id)
  elseif w.listed > 1 then
    -- From the left: the one that is taken first stays.
    redis.call('LREM', at.pending, w.listed - 1, w.id)
  end
  local in_group = home == 'group' or home == 'aggregation'
  if home == 'pending' then
    clear_task(w.task, 'state')
  else
    write_task(w.task, 'state', in_group and 'aggregating' or home)
  end
  if home ~= 'active' then clear_task(w.task, 'delivery', 'cancel') end
  if not is_there then put(w, home, keep) end
end

local reply = {}
for i = 7, #ARGV, 2 do
  local detail = cmsgpack.unpack(ARGV[i + 1])
  local w = whereabouts(at, ARGV[i], detail[2], true, detail[3])
  local kinds, home = verdict(w, now)
  if ARGV[2] == '1' and #kinds > 0 and not w.alien then
    if home == '' then remove(w) else settle_down(w, home, detail[1]) end
  end
  reply[#reply + 1] = {
    table.concat(kinds, ','), table.concat(w.places, ','), w.listed, w.state, home,
  }
end
return reply
