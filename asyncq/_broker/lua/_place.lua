-- place: store one new task that is more than plain, and put it where it belongs.
--
-- `at` names keys of the queue: scheduled, groups, and the prefix tasks. `mine` those of the task: task,
-- lock, group and gathering, nil where it needs none. A lock whose owner is in the set `heir_of` is
-- inherited. Returns a word, the second at which it is due, and whether aggregators are to look at the
-- groups. What is `pending` has still to be pushed into the list; with any word but pending, scheduled and
-- aggregating nothing was written.
local function place(at, mine, id, message, detail, now, heir_of)
  local due, delay, lock_seconds, suffix, group = unpack(cmsgpack.unpack(detail))
  if redis.call('EXISTS', mine.task) == 1 then return compare_task(mine.task, message) end
  if mine.lock then
    -- A lock whose owner is gone, or does not know of it, holds nobody up.
    local owner = redis.pcall('GET', mine.lock)
    if type(owner) == 'table' then return 'unusable' end
    if owner and read_task(at.tasks .. owner, 'unique')[1] == suffix then
      if not (heir_of and redis.call('ZSCORE', heir_of, owner)) then return 'duplicate' end
    end
  end
  if mine.group and type(redis.pcall('ZCARD', mine.group)) == 'table' then return 'unusable' end

  if delay > 0 then due = now + delay end
  local word = 'pending'
  if due > now then word = 'scheduled' elseif mine.group then word = 'aggregating' end
  store_task(mine.task, message)
  if word ~= 'pending' then write_task(mine.task, 'state', word) end
  if mine.lock then
    write_task(mine.task, 'unique', suffix)
    redis.call('SET', mine.lock, id, 'PX', math.ceil((lock_seconds + math.max(0, due - now)) * 1000))
  end
  local is_news = false
  if mine.group then note_group(mine.task, group, word == 'aggregating') end
  if word == 'scheduled' then
    wait_until(at.scheduled, due, id)
  elseif word == 'aggregating' then
    redis.call('ZADD', mine.group, moment(now), id)
    local is_new = redis.pcall('SADD', at.groups, group) == 1
    -- Only aggregators write it (gather.lua): without one there is nobody to tell.
    local most = redis.pcall('GET', mine.gathering)
    if type(most) == 'string' and string.find(most, '%d') then
      local size = redis.call('ZCARD', mine.group)
      is_news = is_new
      for full in string.gmatch(most, '%d+') do is_news = is_news or size % tonumber(full) == 0 end
    end
  end
  return word, due, is_news
end
