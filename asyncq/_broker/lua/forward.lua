-- forward: move due scheduled and retry tasks to where they can be taken.
--
-- INCLUDE clear_task
-- INCLUDE due_in
-- INCLUDE group_of
-- INCLUDE moment
-- INCLUDE next_due
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE moving
-- INCLUDE begin
-- INCLUDE wake
--
-- KEYS  ...         for each queue: Q scheduled, Q retry, Q pending, Q waiting, Q groups, Q flow
-- ARGV  again       '1' when this call was sent before
-- ARGV  limit       tasks to move at the most
-- ARGV  channel     prefix of the servers' channels
-- ARGV  in_cluster  '1' or ''
-- ARGV  news        channel of all servers
-- ARGV  ...         for each queue: prefix of its task hashes, prefix of its groups
-- REPLY [moved, seconds until the next is due or '' for none, when it is due in Unix seconds or '', now], or
--       the error TRYAGAIN while nothing can be moved because the slot moves to another node of a cluster
--
-- Task hashes and groups cannot be declared: their names are read here. They have the slot of
-- their queue.
local PER_QUEUE = 6
local now = clock()
local left = tonumber(ARGV[2])
local moved, soonest, is_moving, gathered = 0, nil, false, false

-- Where an error ends this, each id is still in `from` or has been put where it goes.
local function forward(base, tasks, groups, from)
  local due = due_in(from, now, left)
  if #due == 0 then return end
  local ready = {}
  local since = {}
  for i = 1, #due, 2 do
    local id = due[i]
    local task = tasks .. id
    local f = read_task(task, 'msg', 'group')
    local group = f[2]
    if f[1] and from == KEYS[base + 1] then group = group_of(group, f[1]) end
    if not f[1] then
      confirm(task, from)
      redis.call('ZREM', from, id)
      if not f.err then redis.call('DEL', task) end
      redis.pcall('HINCRBY', KEYS[base + 6], 'vanished', 1)
    elseif group then
      -- A group that is still to come must not be begun a second time.
      confirm(groups .. group, from)
      redis.call('ZADD', groups .. group, moment(now), id)
      redis.call('ZREM', from, id)
      write_task(task, 'state', 'aggregating', 'group', group)
      redis.pcall('SADD', KEYS[base + 5], group)
      gathered = true
    else
      ready[#ready + 1] = id
      since[#ready] = due[i + 1]
    end
  end
  if #ready > 0 then
    redis.call('LPUSH', KEYS[base + 3], unpack(ready))
    redis.call('ZREM', from, unpack(ready))
    for i, id in ipairs(ready) do
      clear_task(tasks .. id, 'state')
      write_task(tasks .. id, 'ready_at', since[i])
    end
    wake(KEYS[base + 4], ARGV[3], #ready, ARGV[4] == '1', now)
  end
  moved = moved + #due / 2
  left = left - #due / 2
end

local function look(from)
  local first = next_due(from)
  if first and (not soonest or first < soonest) then soonest = first end
end

begin(KEYS[1])
for queue = 1, #KEYS / PER_QUEUE do
  local base = (queue - 1) * PER_QUEUE
  local tasks, groups = ARGV[4 + queue * 2], ARGV[5 + queue * 2]
  for from = base + 1, base + 2 do
    -- A queue of which a key holds something else than it should is left alone: it must not spoil the
    -- others, and nobody is to come back at once for what is due in it.
    local is_well, problem = true, nil
    if left > 0 then is_well, problem = pcall(forward, base, tasks, groups, KEYS[from]) end
    if is_well then pcall(look, KEYS[from]) else is_moving = is_moving or moving(problem) end
  end
end
if gathered then redis.call('PUBLISH', ARGV[5], 'groups') end
if is_moving then
  if moved == 0 then return redis.error_reply('TRYAGAIN tasks are on their way to another node') end
  soonest = now
end
if not soonest then return {moved, '', '', tostring(now)} end
return {moved, tostring(math.max(0, soonest - now)), string.format('%.6f', soonest), tostring(now)}
