-- recall: what Redis remembers of the last times of entries, and what schedulers have still to do.
--
-- KEYS  ...     for each entry: Q tick:<entry>   hash
-- ARGV  again   '1' when this call was sent before
-- REPLY for each entry: its fields and their values, in turn; empty when nothing is known
local found = {}
for i, tick in ipairs(KEYS) do
  local fields = redis.pcall('HGETALL', tick)
  found[i] = fields.err and {} or fields
end
return found
