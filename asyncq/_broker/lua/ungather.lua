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
-- The groups cannot be declared: their names are read from those of the sets. Of a set that somebody else has
-- made a group again, the group is listed: Go's asynq does not do that, and then nobody would look there.
local given_back, is_news = 0, false
local function list(set)
  local group = string.match(set, '^(.*):[^:]*$') or ''
  local name = string.sub(group, #ARGV[2] + 1)
  if string.sub(group, 1, #ARGV[2]) ~= ARGV[2] or name == '' then return end
  local size = redis.pcall('ZCARD', group)
  if type(size) == 'number' and size > 0 and redis.pcall('SADD', KEYS[1], name) == 1 then is_news = true end
end
for i = 3, #KEYS do
  if redis.call('ZSCORE', KEYS[2], KEYS[i]) then
    begin(KEYS[i])
    disband(KEYS[1], KEYS[2], ARGV[2], KEYS[i])
    given_back, is_news = given_back + 1, true
  else
    list(KEYS[i])
  end
end
if is_news and ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], 'groups') end
return given_back
