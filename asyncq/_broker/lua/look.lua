-- look: everything about one task at one moment.
--
-- INCLUDE clock
--
-- KEYS  task        Q t:<id>         hash
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  retry       Q retry          zset
-- KEYS  lease       Q lease          zset
-- ARGV  again       '' always: it changes nothing
-- ARGV  id
-- REPLY [] if there is no such task, else
--       [now, due or '', end of the lease or '', field, value ...]
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return {} end
local due = redis.call('ZSCORE', KEYS[2], ARGV[2]) or redis.call('ZSCORE', KEYS[3], ARGV[2]) or ''
local reply = {tostring(clock()), due, redis.call('ZSCORE', KEYS[4], ARGV[2]) or ''}
for i = 1, #fields do reply[#reply + 1] = fields[i] end
return reply
