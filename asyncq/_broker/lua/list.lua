-- list: a page of a sorted set of tasks, by position or after the last one that was seen.
--
-- INCLUDE exactly
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE details
--
-- KEYS  place       Q lease, scheduled, retry, archived, completed or g:<group>  zset
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  tasks       prefix of task hashes
-- ARGV  backwards   '1': the highest score first
-- ARGV  size        tasks at the most
-- ARGV  bytes       of fields, after which no further task is read; '' for ids only
-- ARGV  least       lowest score that counts, or '-inf'
-- ARGV  most        highest, or '+inf'
-- ARGV  skip        how many to pass over
-- ARGV  score       of the last one that was seen, or '' to begin at the beginning
-- ARGV  id          of that one
-- REPLY [now, how many are in the place, how many of those that count follow, [id ...], [score ...],
--       [[field, value ...] ...], [the moment for which each score stands ...]]
--
-- Whoever was seen last need not be there any more: its place is found by halving, so that a page costs
-- the same wherever it is.
local place = KEYS[1]
local size, skip = tonumber(ARGV[4]), tonumber(ARGV[8])
local total = redis.call('ZCARD', place)

-- As Redis orders members of one score. Lua's own comparison depends on the locale.
local function comes_before(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- How many stand before the place of a score and id, and whether it is taken.
local function place_of(score, id)
  if tonumber(redis.call('ZSCORE', place, id) or 'nan') == tonumber(score) then
    return redis.call('ZRANK', place, id), true
  end
  local low = redis.call('ZCOUNT', place, '-inf', '(' .. score)
  local high = redis.call('ZCOUNT', place, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if comes_before(redis.call('ZRANGE', place, middle, middle)[1], id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, false
end

local first, last = 0, total - 1
if ARGV[6] ~= '-inf' then first = redis.call('ZCOUNT', place, '-inf', '(' .. ARGV[6]) end
if ARGV[7] ~= '+inf' then last = redis.call('ZCOUNT', place, '-inf', ARGV[7]) - 1 end
if ARGV[9] ~= '' then
  local before, is_taken = place_of(ARGV[9], ARGV[10])
  if ARGV[3] == '1' then
    last = math.min(last, before - 1)
  else
    first = math.max(first, is_taken and before + 1 or before)
  end
end
if ARGV[3] == '1' then last = last - skip else first = first + skip end

local ids, scores, follow = {}, {}, math.max(0, last - first + 1)
if follow > 0 then
  local from, to, step = first, math.min(last, first + size - 1), 1
  if ARGV[3] == '1' then from, to, step = math.max(first, last - size + 1), last, -1 end
  local found = redis.call('ZRANGE', place, from, to, 'WITHSCORES')
  for i = step == 1 and 1 or #found - 1, step == 1 and #found or 1, step * 2 do
    ids[#ids + 1], scores[#scores + 1] = found[i], found[i + 1]
  end
end
local fields = {}
if ARGV[5] ~= '' then
  fields = details(ARGV[2], ids, tonumber(ARGV[5]))
  for i, found in ipairs(fields) do
    if #found == 0 then confirm(ARGV[2] .. ids[i], place) end
  end
  for i = #fields + 1, #ids do ids[i], scores[i] = nil, nil end
end
local moments = {}
for i, id in ipairs(ids) do moments[i] = exactly(place, id, scores[i]) end
return {tostring(clock()), total, follow - #ids, ids, scores, fields, moments}
