-- measure: add what was counted to the numbers of the minute and the hour in which it was.
--
-- KEYS  receipt     Q receipt:<server>.measures, of one of the queues; or that beside the numbers of all
-- KEYS  ...         for each place: Q minutes, Q hours; or those of all queues together
-- ARGV  again       '1' when this call was sent before
-- ARGV  number      of this call; the next one of this server has a greater one
-- ARGV  keep        seconds for which the receipt is kept
-- ARGV  at          when it was counted, Unix seconds by the clock of Redis
-- ARGV  most        types of one place and time that have numbers of their own
-- ARGV  ...         for each place: what is added (msgpack), {type: {name: amount}}; the type '' is for
--                   the place itself, and of a name that begins with '^' the greatest is kept
-- REPLY ok, or known if this call was carried out before
--
-- A hash is a ring: a field for each minute, or hour, which is begun anew when its number comes round. So
-- it has an end on both sides, and one HMGET reads an evening. The first write is one that Redis refuses
-- when its memory is full: then nothing was done, and the server tries again with the same number.
local RINGS = {{60, 180}, {3600, 168}}
local OTHER = 'other'
local number, at, most = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])

local said = redis.pcall('GET', KEYS[1])
if (type(said) == 'string' and tonumber(said) or -1) >= number then return 'known' end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])

local function count(numbers)
  local n = 0
  for _ in pairs(numbers) do n = n + 1 end
  return n
end

local function add(numbers, more)
  for name, amount in pairs(more) do
    local old = numbers[name]
    if string.sub(name, 1, 1) == '^' then
      numbers[name] = old and math.max(old, amount) or amount
    else
      numbers[name] = (old or 0) + amount
    end
  end
end

local function add_types(types, more)
  local known = count(types)
  for name, numbers in pairs(more) do
    if not types[name] then
      if name ~= '' and known >= most then
        name = OTHER
      else
        known = known + 1
      end
      types[name] = types[name] or {}
    end
    add(types[name], numbers)
  end
end

local function note(key, length, size, more)
  local period = math.floor(at / length)
  local field = tostring(period % size)
  local stored, types = redis.call('HGET', key, field), {}
  if stored then
    local is_fine, one = pcall(cmsgpack.unpack, stored)
    if is_fine and type(one) == 'table' and type(one[2]) == 'table' then
      local then_ = tonumber(one[1]) or 0
      -- Older than all that is kept: the ring has come round.
      if then_ > period then return end
      if then_ == period then types = one[2] end
    end
  end
  add_types(types, more)
  redis.call('HSET', key, field, cmsgpack.pack({period, types}))
  redis.call('EXPIRE', key, length * size)
end

for place = 1, (#KEYS - 1) / 2 do
  local more = cmsgpack.unpack(ARGV[5 + place])
  for i, ring in ipairs(RINGS) do
    -- A key that holds something else than it should must not spoil the others.
    pcall(note, KEYS[place * 2 + i - 1], ring[1], ring[2], more)
  end
end
return 'ok'
