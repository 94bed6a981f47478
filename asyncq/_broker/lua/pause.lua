-- pause: let nothing be taken from a queue.
--
-- INCLUDE begin
-- INCLUDE clock
-- INCLUDE paused_since
--
-- KEYS  paused      Q paused         string: since when
-- KEYS  lease       Q lease          zset
-- ARGV  again       '1' when this call was sent before
-- REPLY paused | already
--
-- Sent again it may find its own work, and takes it for that.
if redis.call('EXISTS', KEYS[1]) == 1 then return ARGV[1] == '1' and 'paused' or 'already' end
begin(KEYS[2])
redis.call('SET', KEYS[1], paused_since(clock()))
return 'paused'
