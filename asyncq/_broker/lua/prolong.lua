-- prolong: keep aggregation sets of one queue for longer.
--
-- INCLUDE clock
-- INCLUDE begin
--
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- ARGV  again       '1' when this call was sent before
-- ARGV  lease       seconds from now
-- ARGV  ...         keys of sets
-- REPLY [index of each set that is not there any more ...]
local now = clock()
local gone = {}
begin(KEYS[1])
for i = 3, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[i])
  else
    gone[#gone + 1] = i - 2
  end
end
return gone
