-- ungather: give aggregation sets of one queue back, so that their tasks wait in their groups again.
--
-- INCLUDE begin
-- INCLUDE disband
--
-- KEYS  groups            Q groups            set
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- KEYS  ...         for each set: Q g:<group>:<set>
-- ARGV  again       '1' when this call was sent before
-- ARGV  group       prefix of groups
-- ARGV  news        channel of all servers, to tell them; or ''
-- REPLY how many were given back; the others are somebody else's, or done
--
-- The groups cannot be declared: their names are read from those of the sets.
local given_back = 0
for i = 3, #KEYS do
  if redis.call('ZSCORE', KEYS[2], KEYS[i]) then
    begin(KEYS[i])
    disband(KEYS[1], KEYS[2], ARGV[2], KEYS[i])
    given_back = given_back + 1
  end
end
if given_back > 0 and ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], 'groups') end
return given_back
