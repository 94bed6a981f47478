-- note_skip: leave a note on times of an entry that are not enqueued, for its history.
--
-- They came after `after` until `last`; it is `last` alone if both are the same. Notes that nobody takes away
-- become one, which says no more than between which times some were left out.
local MOST_NOTES = 100

local function note_skip(tick, reason, after, last, now, detail)
  if redis.call('HLEN', tick) >= MOST_NOTES then
    local rest = redis.call('HGET', tick, 'note:rest')
    local first = rest and string.match(rest, '^%S+ (%S+)') or string.format('%.6f', after - 0.000001)
    redis.call('HSET', tick, 'note:rest', string.format('several %s %.6f %.6f', first, last, now))
    return
  end
  local text = string.format('%s %.6f %.6f %.6f', reason, after, last, now)
  if detail then text = text .. ' ' .. detail end
  redis.call('HSET', tick, string.format('note:%.6f', last), text)
end
