-- whereabouts: all that is known of one id at this moment, in its hash and in each place that may hold it.
--
-- `at` names the keys of the queue: pending, lease, scheduled, retry, archived, completed, groups,
-- aggregation_sets, and the prefixes tasks and group. `seen_in` are groups in which the id was seen.
--
-- Where Go has a list of active tasks beside `lease`, `running` is how many times that holds the id. One that
-- stands in the list alone is in the place `unleased`.
--
-- The list is searched only when `deeply`: that takes time in proportion to its length. It is not searched
-- when the caller has read all of it since the task left the trace `unseen`, and did not see the id: whatever
-- puts a task into the list (a delivery that ends, a due time, a repair) changes its trace.
local function whereabouts(at, id, seen_in, deeply, unseen)
  local MOST_AGGREGATION_SETS = 1000
  local w = {id = id, task = at.tasks .. id, state = '', places = {}, zset = {}, listed = -1, trace = ''}
  local kind = redis.call('TYPE', w.task).ok
  w.exists = kind ~= 'none'
  w.alien = w.exists and kind ~= 'hash'
  -- With another key, for the reason that _confirm.lua gives.
  if not w.exists then redis.call('EXISTS', w.task, at.lease) end
  if kind == 'hash' then
    local f = read_task(w.task, 'state', 'delivery', 'group', 'deliveries', 'lost', 'mended')
    -- A hash that names no state says pending (enqueue.lua).
    w.state, w.token, w.group = f[1] or 'pending', f[2], f[3]
    w.trace = trace_of(w.task, w.state, f[4], f[5], f[6])
    w.message = redis.call('HEXISTS', w.task, 'msg') == 1
  end
  local function look(place, key)
    for _, known in ipairs(w.zset) do
      if known == key then return end
    end
    local score = redis.pcall('ZSCORE', key, id)
    if score and not score.err then
      w.places[#w.places + 1] = place
      w.zset[#w.zset + 1] = key
      if place == 'active' then w.lease = tonumber(score) end
    elseif place == 'group' or place == 'aggregation' then
      redis.call('EXISTS', key, w.task)
    end
  end
  look('active', at.lease)
  local list = active_list(at.lease)
  if list and (w.lease or w.state == 'active' or deeply) then
    w.running = times_active(at.lease, id)
    if w.running > 0 and not w.lease then w.places[1], w.zset[1] = 'unleased', list end
  end
  for _, state in ipairs({'scheduled', 'retry', 'archived', 'completed'}) do look(state, at[state]) end
  local names = {}
  for _, name in ipairs(seen_in) do names[name] = true end
  if w.group then names[w.group] = true end
  for name in pairs(names) do
    look('group', at.group .. name)
  end
  -- Not by its state alone, which may be what is wrong. Only what has a group gets into such a set.
  if w.group or w.state == 'aggregating' then
    local sets = redis.call('ZRANGE', at.aggregation_sets, 0, MOST_AGGREGATION_SETS - 1)
    for _, key in ipairs(sets) do look('aggregation', key) end
  end
  if deeply then
    w.listed = 0
    if w.trace == '' or w.trace ~= unseen then w.listed = #redis.call('LPOS', at.pending, id, 'COUNT', 0) end
  end
  return w
end
