-- book: the stored entries of schedulers, and the version that each change of one gets.
--
-- Versions rise over all entries, so who knows one can ask for what came after it. They are microseconds by
-- the clock of Redis, so they go on rising when a fail-over has lost the last of them. `sum` is that of the
-- versions of all entries: whoever has the same sum has the same entries.
--
-- A record is an array: 1 format, 2 version, 3 origin, 4 application, 5 digest, 6 rhythm, 7 definition,
-- 8 queue, 9 created at, 10 changed at, 11 since, 12 paused at, 13 reason, 14 orphaned at, 15 call,
-- 16 queues in which it is still to be said that there is this version (`fence`), with `}` between them,
-- which no name has. Who changes an entry says it there, and then here that it is done (`entry_settle`). If
-- he does not come to that, whoever comes next knows. Of an entry that is gone they stand in `state`, as
-- `left:<entry>`, behind the version of its end.
local MODULUS = 1125899906842624
local TOMBSTONE_SECONDS, MOST_TRIMMED = 3600, 100
local MOST_AHEAD = 86400 * 1000000
local KINDS = {
  'number', 'number', 'string', 'string', 'string', 'string', 'string', 'string',
  'number', 'number', 'number', 'number', 'string', 'number', 'string', 'string',
}

local function book(keys, now)
  local entries, changes, state, removed = keys[1], keys[2], keys[3], keys[4]
  local call = redis.call
  -- A key that holds something else than it should ends the call here, before anything is half done.
  call('HLEN', entries)
  call('ZCARD', removed)
  local last = call('ZRANGE', changes, 0, 0, 'REV', 'WITHSCORES')
  local known = call('HMGET', state, 'version', 'sum', 'floor')
  local version, sum = tonumber(known[1] or ''), tonumber(known[2] or '') or 0
  local floor = tonumber(known[3] or '') or 0
  -- Somebody has deleted it, or has written there by hand.
  if not version then version = math.min(tonumber(last[2] or 0), now * 1000000 + MOST_AHEAD) end
  local is_changed = false
  local self = {}

  function self.read(id)
    local raw = call('HGET', entries, id)
    if not raw then return nil end
    local is_fine, record = pcall(cmsgpack.unpack, raw)
    if not is_fine or type(record) ~= 'table' then return nil end
    for i, kind in ipairs(KINDS) do
      if type(record[i]) ~= kind then return nil end
    end
    return record
  end

  -- Where it is still to be said that there is another version, this queue among them.
  function self.open(id, record, queue)
    local left = record and record[16]
    if not left then left = string.match(call('HGET', state, 'left:' .. id) or '', '^%d+ (.+)$') or '' end
    if queue == '' or string.find('}' .. left .. '}', '}' .. queue .. '}', 1, true) then return left end
    return left == '' and queue or left .. '}' .. queue
  end

  -- It was said everywhere.
  function self.settle(id, of)
    local record = self.read(id)
    if record then
      if record[2] ~= of or record[16] == '' then return end
      record[16] = ''
      call('HSET', entries, id, cmsgpack.pack(record))
    elseif tonumber(string.match(call('HGET', state, 'left:' .. id) or '', '^%d+') or '') == of then
      call('HDEL', state, 'left:' .. id)
    end
  end

  -- Whether who follows the entries is told of it.
  function self.is_told(id)
    return call('ZSCORE', changes, id)
  end

  -- Versions go on from here at the least.
  function self.rise(least)
    version = math.max(version, least)
  end

  local function count(id)
    local old = call('HEXISTS', entries, id) == 1 and tonumber(call('ZSCORE', changes, id) or 0) or 0
    version = math.max(version + 1, math.floor(now * 1000000))
    sum = (sum - old) % MODULUS
    is_changed = true
  end

  function self.write(id, record)
    count(id)
    record[2] = version
    call('HSET', entries, id, cmsgpack.pack(record))
    call('ZADD', changes, string.format('%.0f', version), id)
    call('ZREM', removed, id)
    call('HDEL', state, 'left:' .. id)
    sum = (sum + version) % MODULUS
    return version
  end

  function self.remove(id, left)
    count(id)
    call('HSET', state, 'left:' .. id, string.format('%.0f %s', version, left))
    call('HDEL', entries, id)
    call('ZADD', changes, string.format('%.0f', version), id)
    call('ZADD', removed, now, id)
    return version
  end

  function self.close(news)
    if not is_changed then return end
    local old = call('ZRANGEBYSCORE', removed, '-inf', now - TOMBSTONE_SECONDS, 'LIMIT', 0, MOST_TRIMMED)
    for _, id in ipairs(old) do
      floor = math.max(floor, tonumber(call('ZSCORE', changes, id) or 0))
      call('ZREM', changes, id)
      call('ZREM', removed, id)
    end
    local text = function(number) return string.format('%.0f', number) end
    call('HSET', state, 'version', text(version), 'sum', text(sum), 'floor', text(floor))
    call('PUBLISH', news, text(version))
  end

  return self
end
