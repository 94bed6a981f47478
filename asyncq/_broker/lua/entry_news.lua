-- entry_news: the entries of schedulers that have changed since somebody looked, the oldest change first.
--
-- KEYS  entries  <prefix>schedule:{entries}          hash
-- KEYS  changes  <prefix>schedule:{entries}:changes  zset
-- KEYS  state    <prefix>schedule:{entries}:state    hash
-- ARGV  again    '1' when this call was sent before
-- ARGV  after    the last version that is known; 0 for none
-- ARGV  count    entries at most
-- ARGV  bytes    after so many bytes it is enough
-- REPLY [version, sum, floor, is_all, id, version, record, id, ...]: `is_all` is '1' when nothing is left;
--       the record of an entry that was removed is ''; removals up to `floor` are forgotten
local call = redis.call
local state = call('HMGET', KEYS[3], 'version', 'sum', 'floor')
local count, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local rows = call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, count)
-- What somebody has written there by hand is put right with the next change.
local function number(text) return string.format('%.0f', tonumber(text or '') or 0) end
local reply = {number(state[1]), number(state[2]), number(state[3]), #rows < 2 * count and '1' or ''}
for i = 1, #rows, 2 do
  local record = call('HGET', KEYS[1], rows[i]) or ''
  reply[#reply + 1] = rows[i]
  reply[#reply + 1] = rows[i + 1]
  reply[#reply + 1] = record
  bytes = bytes - #record
  if bytes <= 0 and i + 2 <= #rows then
    reply[4] = ''
    break
  end
end
return reply
