-- remember: `at` is the last time of an entry of schedulers that is over.
--
-- It is known for `keep` seconds, or for up to half as long again: a hash that is there for long enough is
-- not given a later end, since a thousand entries may be due at once. `kept` is its end as it stands there.
local function remember(tick, at, kept, keep, now)
  if kept and (tonumber(kept) or 0) >= now + keep then
    redis.call('HSET', tick, 'at', at)
    return
  end
  local seconds = math.ceil(keep * 1.5)
  redis.call('HSET', tick, 'at', at, 'kept', string.format('%.0f', math.floor(now) + seconds))
  redis.call('EXPIRE', tick, seconds)
end
