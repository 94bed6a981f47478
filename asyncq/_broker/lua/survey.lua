-- survey: sizes and counters of several queues, and the task of each that is taken next.
--
-- INCLUDE more_than_counted
-- INCLUDE read_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE sizes_of
-- INCLUDE whole
--
-- KEYS  ...         for each queue: Q pending, lease, scheduled, retry, archived, completed, groups,
--                   aggregation_sets, paused, processed, failed, processed:<day>, failed:<day>, flow
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  most        groups and aggregation sets that may be counted, in all queues together
-- ARGV  largest     bytes; messages up to it are in the reply
-- ARGV  ...         for each queue: prefix of its task hashes, prefix of its groups
-- REPLY [now, then for each queue: [numbers, paused, id, since, message], or numbers alone where it is not
--       paused and has nothing pending]
--       numbers     pending, active, scheduled, retry, archived, completed, aggregating, groups, active with
--                   a lease that ran out, processed, failed, processed today, failed today
--       paused      what stands there, or ''
--       id, since   of the task that is taken next; since when it is due, or '' if it was not delayed
--       message     of that task, '' when it is too large
--
-- What holds something else than it should counts nothing. Beyond `most` groups the tasks in them are
-- counted in another way (more_than_counted). A queue in which nothing is costs two commands. Numbers are one
-- text: to make thirteen into a reply each takes Redis as long as two commands.
local PER_QUEUE = 14
local NOTHING = '0 0 0 0 0 0 0 0 0'
local now = clock()
local left, largest = tonumber(ARGV[2]), tonumber(ARGV[3])

local function next_task(pending, tasks)
  local id = redis.pcall('LINDEX', pending, -1)
  if type(id) ~= 'string' then return '', '', '' end
  local task = tasks .. id
  local length = redis.pcall('HSTRLEN', task, 'msg')
  if type(length) ~= 'number' or length == 0 then
    confirm(task, pending)
    return id, '', ''
  end
  if length > largest then return id, read_task(task, 'ready_at')[1] or '', '' end
  local f = read_task(task, 'ready_at', 'msg')
  return id, f[1] or '', f[2] or ''
end

local function look(queue)
  local base = (queue - 1) * PER_QUEUE
  local found = redis.call('MGET', unpack(KEYS, base + 9, base + 13))
  local there = redis.call('EXISTS', unpack(KEYS, base + 1, base + 9))
  local paused, numbers = found[1] or '', NOTHING
  if found[1] then there = there - 1 end
  local pending = 0
  if there > 0 then
    local sizes
    sizes, there, left = sizes_of(KEYS, base, KEYS[base + 14], ARGV[3 + queue * 2], there, left)
    -- What is left is `paused`, of another kind than it should be: that stops servers as well.
    if there > 0 then paused = '?' end
    pending = sizes[1]
    sizes[9] = sizes[2] > 0 and tonumber(redis.pcall('ZCOUNT', KEYS[base + 2], '-inf', now)) or 0
    numbers = table.concat(sizes, ' ')
  end
  for i = 2, 5 do numbers = numbers .. ' ' .. whole(found[i]) end
  if pending > 0 then return {numbers, paused, next_task(KEYS[base + 1], ARGV[2 + queue * 2])} end
  if paused ~= '' then return {numbers, paused, '', '', ''} end
  return numbers
end

local reply = {tostring(now)}
for queue = 1, #KEYS / PER_QUEUE do reply[queue + 1] = look(queue) end
return reply
