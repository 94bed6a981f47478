-- take_tick: one time of an entry of schedulers is over.
--
-- Called when its task has its place, or is to have none, with what `ask_for_tick` has found. `id` is that
-- of the task. Returns whether there is something left to do for schedulers.
local function take_tick(mine, c, word, id, now)
  local tick = mine.tick
  if c.release == '1' then
    redis.call('HSET', tick, 'run', id)
    redis.call('HDEL', tick, 'queued')
    return false
  end
  remember(tick, c.at, c.kept, c.keep, now)
  if c.overlap == '' and not c.missed_after then return false end
  local more = false
  if c.missed_after then
    note_skip(tick, 'missed', c.missed_after, c.since, now)
    more = true
  end
  if word == 'overlap' then
    note_skip(tick, 'overlap', c.nominal, c.nominal, now, c.run)
    more = true
  elseif word == 'queued' then
    redis.call('HSET', tick, 'queued', c.at)
    more = true
  elseif c.overlap ~= '' and word ~= 'duplicate' then
    redis.call('HSET', tick, 'run', id)
    if c.queued then
      -- Nobody was there to enqueue it when its turn came.
      redis.call('HDEL', tick, 'queued')
      note_skip(tick, 'overlap', c.queued, c.queued, now, c.run)
      more = true
    end
    if c.cancels and c.cancels ~= id then
      redis.call('HSET', tick, 'cancel:' .. c.cancels, '')
      more = true
    end
  end
  return more
end
