-- look: everything about one task at one moment.
--
-- INCLUDE exactly
-- INCLUDE clock
--
-- KEYS  task        Q t:<id>         hash
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  retry       Q retry          zset
-- KEYS  lease       Q lease          zset
-- ARGV  again       '' always: it changes nothing
-- ARGV  id
-- REPLY [] if there is no such task, [unusable] if its key holds something else than a hash, else
--       [now, due or '', end of the lease or '', field, value ...]
local function score(key)
  local found = redis.pcall('ZSCORE', key, ARGV[2])
  return type(found) == 'string' and exactly(key, ARGV[2], found) or nil
end

local fields = redis.pcall('HGETALL', KEYS[1])
if fields.err then return {'unusable'} end
if #fields == 0 then return {} end
local reply = {tostring(clock()), score(KEYS[2]) or score(KEYS[3]) or '', score(KEYS[4]) or ''}
for i = 1, #fields do reply[#reply + 1] = fields[i] end
return reply
