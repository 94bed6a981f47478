-- list_pending: a page of the pending list, by position and by what was seen last.
--
-- INCLUDE read_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE details
--
-- KEYS  pending     Q pending        list
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  tasks       prefix of task hashes
-- ARGV  backwards   '1': the one that is taken last first
-- ARGV  size        tasks at the most
-- ARGV  bytes       of fields, after which no further task is read; '' for ids only
-- ARGV  passed      how many were passed, from the end at which the reading began
-- ARGV  anchors     how many of the next are those that were passed last, the very last one first
-- ARGV  ...         anchors, then ids of which it is asked how many are still pending
-- REPLY [now, length of the list, how many follow, [id ...], [[field, value ...] ...],
--       how many were passed before the first of these, how many of the ids asked about are pending]
--
-- Tasks are taken on the right and put in on the left, so positions move between two pages. The anchors
-- say by how much. They are searched near to where they were; the whole list is never searched.
local NEAR, FAR = 1000, 100000
local pending = KEYS[1]
local backwards, size, passed = ARGV[3] == '1', tonumber(ARGV[4]), tonumber(ARGV[6])
local anchors, asked = {}, 8 + tonumber(ARGV[7])
for i = 8, asked - 1 do anchors[#anchors + 1] = ARGV[i] end
local length = redis.call('LLEN', pending)

-- Positions count from the end at which the reading began.
local function read(from, to)
  to = math.min(to, length - 1)
  if from > to then return {} end
  if backwards then return redis.call('LRANGE', pending, from, to) end
  local found, turned = redis.call('LRANGE', pending, -1 - to, -1 - from), {}
  for i = #found, 1, -1 do turned[#turned + 1] = found[i] end
  return turned
end

local function resume()
  if #anchors == 0 or read(passed - 1, passed - 1)[1] == anchors[1] then return passed end
  local low, seen = math.max(0, passed - NEAR), {}
  for i, id in ipairs(read(low, passed + NEAR)) do seen[id] = low + i end
  for _, id in ipairs(anchors) do
    if seen[id] then return seen[id] end
  end
  local rank = backwards and 1 or -1
  local index = redis.call('LPOS', pending, anchors[1], 'RANK', rank, 'MAXLEN', FAR)
  if index then return backwards and index + 1 or length - index end
  -- Taken, as were all before it: what is there now was not seen yet.
  if not backwards and passed <= FAR then return 0 end
  return passed
end

passed = math.min(resume(), length)
local ids = read(passed, passed + size - 1)
local fields = {}
if ARGV[5] ~= '' then
  fields = details(ARGV[2], ids, tonumber(ARGV[5]))
  for i, found in ipairs(fields) do
    if #found == 0 then confirm(ARGV[2] .. ids[i], pending) end
  end
  for i = #fields + 1, #ids do ids[i] = nil end
end
local still = 0
for i = asked, #ARGV do
  local f = read_task(ARGV[2] .. ARGV[i], 'state', 'msg')
  if not f.err and f[2] and not f[1] then still = still + 1 end
end
return {tostring(clock()), length, length - passed - #ids, ids, fields, passed, still}
