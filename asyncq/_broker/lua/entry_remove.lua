-- entry_remove: forget an entry of schedulers.
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
-- ARGV  news     channel of those who follow the entries
-- ARGV  id
-- ARGV  version  that it must have; '' for whatever
-- ARGV  force    '1': also what the code of an application declares
-- REPLY [removed | missing | stale (it has another version) | declared, the version of its end, queues in
--       which that is still to be said (_book)]
--
-- That it is gone is remembered for an hour, for those who follow the entries.
begin(KEYS[2])
local entries = book(KEYS, clock())
local id, expected = ARGV[3], ARGV[4]
local record = entries.read(id)
if not record then
  local ended = redis.call('ZSCORE', KEYS[4], id) and redis.call('ZSCORE', KEYS[2], id) or 0
  local left = entries.open(id, nil, '')
  if left ~= '' then ended = string.match(redis.call('HGET', KEYS[3], 'left:' .. id), '^%d+') end
  local is_done = ARGV[1] == '1' and tonumber(ended) > 0
  return {is_done and 'removed' or 'missing', string.format('%.0f', ended), left}
end
if expected ~= '' and record[2] ~= tonumber(expected) then
  return {'stale', string.format('%.0f', record[2]), ''}
end
if record[3] == 'code' and record[14] == 0 and ARGV[5] ~= '1' then
  return {'declared', string.format('%.0f', record[2]), ''}
end
local left = entries.open(id, record, record[8])
local version = entries.remove(id, left)
entries.close(ARGV[2])
return {'removed', string.format('%.0f', version), left}
