-- entry_settle: it was said wherever it had to be that entries of schedulers have these versions.
--
-- INCLUDE clock
-- INCLUDE begin
-- INCLUDE book
--
-- KEYS  entries  <prefix>schedule:{entries}          hash
-- KEYS  changes  <prefix>schedule:{entries}:changes  zset
-- KEYS  state    <prefix>schedule:{entries}:state    hash
-- KEYS  removed  <prefix>schedule:{entries}:removed  zset
-- ARGV  again    '1' when this call was sent before
-- ARGV  ...      for each entry: id, version
-- REPLY ok
--
-- One that has changed again is left alone: that has to be said, too. Nobody is told, since nothing changes.
begin(KEYS[2])
local entries = book(KEYS, clock())
for i = 2, #ARGV, 2 do entries.settle(ARGV[i], tonumber(ARGV[i + 1])) end
return 'ok'
