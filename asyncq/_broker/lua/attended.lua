-- attended: what these fields of a time of an entry asked for was done.
--
-- KEYS  tick   Q tick:<entry>   hash
-- ARGV  again  '1' when this call was sent before
-- ARGV  ...    for each: field; its value when it was read
-- REPLY ok
--
-- One that says something else by now is left, since that was not done. Of the note that many became
-- (_note_skip) only what has come to it is left.
local tick = KEYS[1]
for i = 2, #ARGV, 2 do
  local field, read = ARGV[i], ARGV[i + 1]
  local value = redis.call('HGET', tick, field)
  if value == read then
    redis.call('HDEL', tick, field)
  elseif value and field == 'note:rest' then
    local first, last = string.match(read, '^several (%S+) (%S+)')
    local same, rest = string.match(value, '^several (%S+) (.*)$')
    local is_longer = first and same == first and (tonumber(string.match(rest, '^%S+')) or 0) > tonumber(last)
    if is_longer then
      -- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
      redis.call('HDEL', tick, field)
      redis.call('HSET', tick, field, string.format('several %s %s', last, rest))
    end
  end
end
return 'ok'
