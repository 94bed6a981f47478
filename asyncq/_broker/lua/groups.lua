-- groups: sizes and ages of the groups of one queue, a page at a time.
--
-- KEYS  groups            Q groups            set
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  group       prefix of groups
-- ARGV  cursor      '0' to begin with
-- ARGV  page        about so many groups
-- REPLY [cursor or '0' at the end, then for each group: name, key of its set or '', size, second of the
--       oldest task, of the latest one]; with the first page come the sets that are being aggregated
--
-- Groups and sets cannot be declared: their names are read here.
local MOST_SETS = 1000
local scanned = redis.call('SSCAN', KEYS[1], ARGV[3], 'COUNT', ARGV[4])
local reply = {scanned[1]}
local function tell(name, set, key)
  local size = redis.pcall('ZCARD', key)
  if type(size) ~= 'number' or size == 0 then return end
  local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  local newest = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
  for _, item in ipairs({name, set, size, oldest, newest}) do reply[#reply + 1] = item end
end
for _, name in ipairs(scanned[2]) do tell(name, '', ARGV[2] .. name) end
if ARGV[3] == '0' then
  for _, set in ipairs(redis.call('ZRANGE', KEYS[2], 0, MOST_SETS - 1)) do
    local group = string.match(set, '^(.*):[^:]*$')
    if group then tell(string.sub(group, #ARGV[2] + 1), set, set) end
  end
end
return reply
