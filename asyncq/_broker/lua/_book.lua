-- book: the stored entries of schedulers, and the version that each change of one gets.
--
-- Versions rise over all entries, so who knows one can ask for what came after it. They are microseconds by
-- the clock of Redis, so they go on rising when a fail-over has lost the last of them. `sum` is that of the
-- versions of all entries: whoever has the same sum has the same entries.
--
-- A record is an array: 1 format, 2 version, 3 origin, 4 application, 5 digest, 6 rhythm, 7 definition,
-- 8 queue, 9 created at, 10 changed at, 11 since, 12 paused at, 13 reason, 14 orphaned at, 15 call,
-- 16 the queue before this one.
local MODULUS = 1125899906842624
local TOMBSTONE_SECONDS, MOST_TRIMMED = 3600, 100

local function book(keys, now)
  local entries, changes, state, removed = keys[1], keys[2], keys[3], keys[4]
  local call = redis.call
  local known = call('HMGET', state, 'version', 'sum', 'floor')
  local version, sum, floor = tonumber(known[1] or 0), tonumber(known[2] or 0), tonumber(known[3] or 0)
  local is_changed = false
  local self = {}

  function self.read(id)
    local raw = call('HGET', entries, id)
    if not raw then return nil end
    local is_fine, record = pcall(cmsgpack.unpack, raw)
    return is_fine and type(record) == 'table' and tonumber(record[2]) and record or nil
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
    sum = (sum + version) % MODULUS
    return version
  end

  function self.remove(id)
    count(id)
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
