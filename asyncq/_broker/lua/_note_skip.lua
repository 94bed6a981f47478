-- note_skip: leave a note on times of an entry that are not enqueued, for its history.
--
-- They came after `after` until `last`; it is `last` alone if both are the same. Notes that nobody takes away
-- become one, which says no more than between which times some were left out. It only grows: one that waited
-- for a run may be older than what is in it.
local MOST_NOTES = 100

local function note_skip(tick, reason, after, last, now, detail)
  if redis.call('HLEN', tick) >= MOST_NOTES then
    local from, to = tonumber(after), tonumber(last)
    if from == to then from = from - 0.000001 end
    local rest = redis.call('HGET', tick, 'note:rest') or ''
    local first, until_then = string.match(rest, '^%S+ (%S+) (%S+)')
    from, to = math.min(tonumber(first) or from, from), math.max(tonumber(until_then) or to, to)
    redis.call('HSET', tick, 'note:rest', string.format('several %.6f %.6f %.6f', from, to, now))
    return
  end
  local text = string.format('%s %.6f %.6f %.6f', reason, after, last, now)
  if detail then text = text .. ' ' .. detail end
  redis.call('HSET', tick, string.format('note:%.6f', last), text)
end
