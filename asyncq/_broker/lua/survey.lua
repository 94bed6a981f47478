-- survey: sizes and counters of several queues, and the task of each that is taken next.
--
-- INCLUDE more_than_counted
-- INCLUDE read_task
-- INCLUDE clock
-- INCLUDE confirm
--
-- KEYS  ...         for each queue: Q pending, lease, scheduled, retry, archived, completed, groups,
--                   aggregation_sets, flow, paused, processed, failed, processed:<day>, failed:<day>
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  most        groups and aggregation sets that may be counted, in all queues together
-- ARGV  largest     bytes; messages up to it are in the reply
-- ARGV  ...         for each queue: prefix of its task hashes, prefix of its groups
-- REPLY [now, then for each queue: [sizes, counters, paused, exists, id, since, message]]
--       sizes       pending, active, scheduled, retry, archived, completed, aggregating, groups, active with
--                   a lease that ran out
--       counters    processed, failed, processed today, failed today
--       paused      what stands there, or ''
--       exists      '1' if a task was ever put in
--       id, since   of the task that is taken next; since when it is due, or '' if it was not delayed
--       message     of that task, '' when it is too large
--
-- What holds something else than it should counts nothing. Beyond `most` groups the tasks in them are
-- counted in another way (more_than_counted).
local PER_QUEUE = 14
local now = clock()
local left, largest = tonumber(ARGV[2]), tonumber(ARGV[3])

local function number(...)
  return tonumber(redis.pcall(...)) or 0
end

-- Most queues have little of all this, and there may be thousands: what is known to be nothing is not asked.
local function aggregating(base, prefix, elsewhere, groups)
  local number_of_sets = groups + number('ZCARD', KEYS[base + 8])
  if number_of_sets == 0 then return 0 end
  if number_of_sets > left then
    return more_than_counted(KEYS[base + 9], elsewhere, KEYS[base + 7], KEYS[base + 8], prefix)
  end
  left = left - number_of_sets
  local count = 0
  local function add(key, beside)
    local size = number('ZCARD', key)
    if size == 0 then confirm(key, beside) end
    count = count + size
  end
  local names = redis.pcall('SMEMBERS', KEYS[base + 7])
  for _, name in ipairs(names) do add(prefix .. name, KEYS[base + 7]) end
  local sets = redis.pcall('ZRANGE', KEYS[base + 8], 0, -1)
  for _, key in ipairs(sets) do add(key, KEYS[base + 8]) end
  return count
end

local function next_task(base, tasks)
  local id = redis.pcall('LINDEX', KEYS[base + 1], -1)
  if type(id) ~= 'string' then return '', '', '' end
  local task = tasks .. id
  local length = redis.pcall('HSTRLEN', task, 'msg')
  if type(length) ~= 'number' or length == 0 then
    confirm(task, KEYS[base + 1])
    return id, '', ''
  end
  local since = read_task(task, 'ready_at')[1] or ''
  return id, since, length <= largest and read_task(task, 'msg')[1] or ''
end

local function look(queue)
  local base = (queue - 1) * PER_QUEUE
  local sizes = {number('LLEN', KEYS[base + 1])}
  for i = 2, 6 do sizes[i] = number('ZCARD', KEYS[base + i]) end
  local elsewhere = 0
  for i = 1, 6 do elsewhere = elsewhere + sizes[i] end
  sizes[8] = number('SCARD', KEYS[base + 7])
  sizes[7] = aggregating(base, ARGV[3 + queue * 2], elsewhere, sizes[8])
  sizes[9] = sizes[2] > 0 and number('ZCOUNT', KEYS[base + 2], '-inf', now) or 0
  local counters = redis.call('MGET', unpack(KEYS, base + 11, base + 14))
  for i = 1, 4 do counters[i] = tonumber(counters[i] or '') or 0 end
  local stands = redis.pcall('GET', KEYS[base + 10])
  local paused = type(stands) == 'table' and '?' or stands or ''
  local id, since, message = '', '', ''
  if sizes[1] > 0 then id, since, message = next_task(base, ARGV[2 + queue * 2]) end
  return {sizes, counters, paused, tostring(redis.call('EXISTS', KEYS[base + 9])), id, since, message}
end

local reply = {tostring(now)}
for queue = 1, #KEYS / PER_QUEUE do reply[queue + 1] = look(queue) end
return reply
