-- entry_mend: see whether the index of the stored entries says what is there, and put right what it does not.
--
-- INCLUDE clock
-- INCLUDE book
--
-- KEYS  entries  <prefix>schedule:{entries}          hash
-- KEYS  changes  <prefix>schedule:{entries}:changes  zset
-- KEYS  state    <prefix>schedule:{entries}:state    hash
-- KEYS  removed  <prefix>schedule:{entries}:removed  zset
-- ARGV  again    '1' when this call was sent before
-- ARGV  apply    '1' to put right, '' to judge only
-- ARGV  news     channel of those who follow the entries
-- ARGV  sum      what the sum of all versions should be; '' if nobody knows
-- ARGV  version  the last one when they were added up
-- ARGV  ...      ids
-- REPLY for each id: fine | gone (there is no such entry, and nothing of it) | unreadable | untold (no
--       scheduler hears of it) | lost (it is in the index, and nowhere else) | stray (what is noted of its
--       removal is wrong)
local now = clock()
local entries = book(KEYS, now)
local call, apply = redis.call, ARGV[2] == '1'

local function judge(id)
  local is_there = call('HEXISTS', KEYS[1], id) == 1
  local told, removed = call('ZSCORE', KEYS[2], id), call('ZSCORE', KEYS[4], id)
  if not is_there then
    if told and not removed then return 'lost' end
    return removed and (told and 'gone' or 'stray') or 'gone'
  end
  local record = entries.read(id)
  if not record then return 'unreadable' end
  if tonumber(told or '') ~= record[2] then return 'untold', record end
  return removed and 'stray' or 'fine'
end

-- Before anything else: a change makes it another one.
if apply and ARGV[4] ~= '' and call('HGET', KEYS[3], 'version') == ARGV[5] then
  call('HSET', KEYS[3], 'sum', ARGV[4])
end
local reply = {}
for i = 6, #ARGV do
  local id = ARGV[i]
  local word, record = judge(id)
  reply[#reply + 1] = word
  if apply and word == 'untold' then
    entries.write(id, record)
  elseif apply and word == 'lost' then
    call('ZADD', KEYS[4], now, id)
  elseif apply and word == 'stray' then
    call('ZREM', KEYS[4], id)
  end
end
entries.close(ARGV[3])
return reply
