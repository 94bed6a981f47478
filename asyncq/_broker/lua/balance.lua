-- balance: count a queue's tasks and compare with its counters; correct the counters.
--
-- INCLUDE confirm
--
-- KEYS  pending           Q pending           list
-- KEYS  lease             Q lease             zset
-- KEYS  scheduled         Q scheduled         zset
-- KEYS  retry             Q retry             zset
-- KEYS  archived          Q archived          zset
-- KEYS  completed         Q completed         zset
-- KEYS  groups            Q groups            set
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- KEYS  flow              Q flow              hash
-- KEYS  paused            Q paused            string
-- ARGV  again       '1' when this call was sent before
-- ARGV  group       prefix of groups
-- ARGV  most        groups and aggregation sets that may be counted
-- ARGV  expected    surplus that damage explains; the counters are corrected by the rest. '' to count only
-- ARGV  ...         groups that are not in the set of groups
-- REPLY [word, pending, active, scheduled, retry, archived, completed, aggregating, '1' if paused,
--       surplus, flow as field and value ...]; the word is counted | too_many_groups
--
-- The counters: what was created, as corrected, is what is there and what is gone. Every field but
-- `created` and `corrected` counts a way of going. The surplus is how many more tasks the counters know
-- than the places hold; at rest and under load it is 0, since each script moves both at once.
local most = tonumber(ARGV[3])
local word, aggregating = 'counted', 0
if redis.call('SCARD', KEYS[7]) + redis.call('ZCARD', KEYS[8]) + #ARGV - 4 > most then
  word = 'too_many_groups'
else
  local function add(key)
    local count = redis.pcall('ZCARD', key)
    if type(count) ~= 'number' or count == 0 then confirm(key, KEYS[9]) end
    if type(count) == 'number' then aggregating = aggregating + count end
  end
  for _, name in ipairs(redis.call('SMEMBERS', KEYS[7])) do add(ARGV[2] .. name) end
  for _, key in ipairs(redis.call('ZRANGE', KEYS[8], 0, -1)) do add(key) end
  for i = 5, #ARGV do
    if redis.call('SISMEMBER', KEYS[7], ARGV[i]) == 0 then add(ARGV[2] .. ARGV[i]) end
  end
end

local reply = {word, redis.call('LLEN', KEYS[1])}
for i = 2, 6 do reply[i + 1] = redis.call('ZCARD', KEYS[i]) end
reply[8] = aggregating
reply[9] = tostring(redis.call('EXISTS', KEYS[10]))

local present = 0
for i = 2, 8 do present = present + reply[i] end
local surplus = -present
local flow = redis.call('HGETALL', KEYS[9])
for i = 1, #flow, 2 do
  local value = tonumber(flow[i + 1]) or 0
  if flow[i] ~= 'created' and flow[i] ~= 'corrected' then value = -value end
  surplus = surplus + value
end
if word == 'counted' and ARGV[4] ~= '' and surplus ~= tonumber(ARGV[4]) then
  redis.call('HINCRBY', KEYS[9], 'corrected', tonumber(ARGV[4]) - surplus)
  surplus = tonumber(ARGV[4])
  flow = redis.call('HGETALL', KEYS[9])
end
reply[10] = surplus
for _, item in ipairs(flow) do reply[#reply + 1] = item end
return reply
