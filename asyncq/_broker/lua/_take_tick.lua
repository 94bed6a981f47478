-- take_tick: one time of an entry of schedulers is over.
--
-- Called when its task has its place, or is to have none, with the rules that `ask_for_tick` went by and with
-- what it has found. `id` is that of the task. Returns whether there is something left to do for schedulers.
local function take_tick(tick, rules, found, word, id, now)
  if rules.is_release then
    redis.call('HSET', tick, 'run', id)
    redis.call('HDEL', tick, 'queued')
    return false
  end
  remember(tick, rules.at, found[2], rules.keep, now)
  local missed_after, run, queued = found.missed_after, found[3], found[4] and tonumber(found[4])
  if rules.overlap == '' and not missed_after then return false end
  local more = false
  if missed_after then
    note_skip(tick, 'missed', missed_after, rules.since, now)
    more = true
  end
  if word == 'overlap' then
    note_skip(tick, 'overlap', rules.nominal, rules.nominal, now, run)
    more = true
  elseif word == 'queued' then
    redis.call('HSET', tick, 'queued', rules.at)
    more = true
  elseif rules.overlap ~= '' and word ~= 'duplicate' then
    redis.call('HSET', tick, 'run', id)
    if queued then
      -- Nobody was there to enqueue it when its turn came.
      redis.call('HDEL', tick, 'queued')
      note_skip(tick, 'overlap', queued, queued, now, run)
      more = true
    end
    if found.cancels and found.cancels ~= id then
      redis.call('HSET', tick, 'cancel:' .. found.cancels, '')
      more = true
    end
  end
  return more
end
