-- trail: add a record to the trail of changes, and forget the oldest ones.
--
-- The first write takes no memory, so that also a full Redis notes what is done to make room: the trail
-- has an end, and people are slow.
--
-- KEYS  trail      <prefix>trail   stream
-- ARGV  again      '1' when this call was sent before
-- ARGV  operation  of which change this is a record
-- ARGV  outcome    which one of its records
-- ARGV  most       how many records are kept, about
-- ARGV  fields...  name and value of each field
-- REPLY id of the record
if ARGV[1] == '1' then
  for _, record in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 100)) do
    local fields = {}
    for at = 1, #record[2], 2 do fields[record[2][at]] = record[2][at + 1] end
    if fields.operation == ARGV[2] and fields.outcome == ARGV[3] then return record[1] end
  end
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[4])
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
