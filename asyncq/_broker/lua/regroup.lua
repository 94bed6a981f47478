-- regroup: make the set of groups agree with the groups.
--
-- KEYS  groups      Q groups         set
-- KEYS  ...         for each name: Q g:<name>
-- ARGV  again       '1' when this call was sent before
-- ARGV  apply       '1' to put right, '' to judge only
-- ARGV  ...         names
-- REPLY for each name: fine | unlisted (tasks wait in it) | empty (listed, and nothing is there)
local reply = {}
for i = 3, #ARGV do
  local listed = redis.call('SISMEMBER', KEYS[1], ARGV[i]) == 1
  local exists = redis.call('EXISTS', KEYS[i - 1]) == 1
  local word = 'fine'
  if exists and not listed then
    word = 'unlisted'
    if ARGV[2] == '1' then redis.call('SADD', KEYS[1], ARGV[i]) end
  elseif listed and not exists then
    word = 'empty'
    if ARGV[2] == '1' then redis.call('SREM', KEYS[1], ARGV[i]) end
  end
  reply[#reply + 1] = word
end
return reply
