-- entry_mark: pause an entry of schedulers, let it go on, or note that no code declares it any more.
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
-- ARGV  mark     pause | resume | orphan | renew (only give it a later version)
-- ARGV  reason   why it is paused; of renew, the version that it must be later than
-- REPLY [done | kept (it was so already) | missing | stale (it has another version), version, queue, queues
--       in which that version is still to be said (_book)]
--
-- Sent again it finds everything as it shall be. It goes through when the memory of Redis is full: pausing
-- what fills it must be possible.
local PAUSED, REASON, ORPHANED, LEFT = 12, 13, 14, 16
begin(KEYS[2])
local now = clock()
local entries = book(KEYS, now)
local id, expected, mark, reason = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local record = entries.read(id)
if not record then return {'missing', '0', '', ''} end

if mark == 'renew' then
  local word = expected ~= '' and record[2] ~= tonumber(expected) and 'stale' or 'kept'
  local least = tonumber(reason)
  -- No clock of Redis has given a version that is days ahead: whoever wrote that, it is not to be followed.
  if word == 'kept' and record[2] < least and least < (now + 86400) * 1000000 then
    word = 'done'
    entries.rise(least)
    entries.write(id, record)
    entries.close(ARGV[2])
  end
  return {word, string.format('%.0f', record[2]), record[8], record[LEFT]}
end

local field = mark == 'orphan' and ORPHANED or PAUSED
local is_set = record[field] ~= 0
local is_there = is_set == (mark ~= 'resume') or (mark == 'orphan' and record[3] ~= 'code')
local word = 'kept'
if not is_there then
  word = 'done'
  if expected ~= '' and record[2] ~= tonumber(expected) then
    word = 'stale'
  else
    record[field] = mark == 'resume' and 0 or now
    if mark ~= 'orphan' then
      record[REASON] = reason
      record[LEFT] = entries.open(id, record, record[8])
    end
    -- What was due while it was paused is not made up for.
    if mark == 'resume' then record[11] = now end
    entries.write(id, record)
    entries.close(ARGV[2])
  end
end
return {word, string.format('%.0f', record[2]), record[8], record[LEFT]}
