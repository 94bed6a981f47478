-- annotate: write a result or a progress report of a delivery that is still ours.
--
-- KEYS  task        Q t:<id>         hash
-- ARGV  again       '1' when this call was sent before
-- ARGV  token       of the delivery
-- ARGV  field       result | progress
-- ARGV  value
-- REPLY ok | not_owner
if redis.call('HGET', KEYS[1], 'delivery') ~= ARGV[2] then return 'not_owner' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return 'ok'
