-- due_in: the ids in `scheduled` or `retry` whose time has come, each with it; `limit` of them at the most.
--
-- Without the moments, where they cannot be read: then tasks are due at the next whole second.
local function due_in(zset, now, limit)
  local moments, due, seen = zset .. ':moments', {}, {}
  local early = redis.pcall('ZRANGEBYSCORE', moments, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #early, 2 do
    local id, time = early[i], early[i + 1]
    redis.call('ZREM', moments, id)
    -- Somebody who does not know of moments may have moved it meanwhile.
    if tonumber(redis.call('ZSCORE', zset, id) or '') == math.ceil(tonumber(time)) then
      seen[id] = true
      due[#due + 1], due[#due + 2] = id, time
    end
  end
  local full = redis.call('ZRANGEBYSCORE', zset, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #full, 2 do
    if not seen[full[i]] and #due < limit * 2 then due[#due + 1], due[#due + 2] = full[i], full[i + 1] end
  end
  return due
end
