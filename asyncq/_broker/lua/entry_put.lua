-- entry_put: store entries of schedulers, or change them, each on its own.
--
-- INCLUDE clock
-- INCLUDE book
--
-- KEYS  entries      <prefix>schedule:{entries}          hash
-- KEYS  changes      <prefix>schedule:{entries}:changes  zset
-- KEYS  state        <prefix>schedule:{entries}:state    hash
-- KEYS  removed      <prefix>schedule:{entries}:removed  zset
-- ARGV  again        '1' when this call was sent before
-- ARGV  news         channel of those who follow the entries
-- ARGV  call         an id of this call, by which it is known when it is sent again
-- ARGV  origin       code | client
-- ARGV  application  whose code it is; '' for none
-- ARGV  policy       add (leave another definition alone) | put
-- ARGV  force        '1': also change what the code of another application declares
-- ARGV  ...          for each entry: id; the version that it must have, 0 for none, '' for whatever;
--                    digest, rhythm, queue, definition
-- REPLY for each entry: added | changed | kept (it is the same) | exists (there is another definition)
--       | stale (it has another version) | declared (by the code of an application); then its version,
--       the queues in which that version is still to be said (_book), and '1' if it is paused
--
-- What is declared in code and what a client has put are known by their origin. The same definition of a
-- client is taken over by code; what another application declares in the same words is left to it.
local again, news, this, origin, application = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local may_replace, force = ARGV[6] == 'put', ARGV[7] == '1'
local now = clock()
local entries = book(KEYS, now)
local reply = {}

local function objection(record, expected, digest)
  if expected ~= '' and (record and record[2] or 0) ~= tonumber(expected) then return 'stale' end
  if not record then return nil end
  local is_mine = record[3] == origin and record[4] == application
  local is_same = record[5] == digest
  local is_of_code = record[3] == 'code'
  if is_same and record[14] == 0 and (is_mine or origin == 'client' or (is_of_code and not force)) then
    return 'kept'
  end
  if is_mine and origin == 'code' then return nil end
  if is_of_code then return record[14] == 0 and not force and 'declared' or nil end
  return not is_same and not may_replace and 'exists' or nil
end

for i = 8, #ARGV, 6 do
  local id, expected, digest, rhythm = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local queue, definition = ARGV[i + 4], ARGV[i + 5]
  local record = entries.read(id)
  local word
  local version, left, paused = record and record[2] or 0, '', 0
  if record and again == '1' and record[15] == this then
    word, left, paused = record[9] == record[10] and 'added' or 'changed', record[16], record[12]
  else
    word = objection(record, expected, digest)
    if word == 'kept' and not entries.is_told(id) then word = nil end
    if word == 'kept' then left, paused = record[16], record[12] end
    if not word then
      word = record and 'changed' or 'added'
      local created, since, reason = now, now, ''
      if record then
        created, paused, reason = record[9], record[12], record[13]
        if record[6] == rhythm then since = record[11] end
      end
      left = entries.open(id, record, record and record[8] or '')
      version = entries.write(id, {
        1, 0, origin, application, digest, rhythm, definition, queue, created, now, since, paused, reason, 0,
        this, left,
      })
    end
  end
  reply[#reply + 1] = word
  reply[#reply + 1] = string.format('%.0f', version)
  reply[#reply + 1] = left
  reply[#reply + 1] = paused ~= 0 and '1' or ''
end
entries.close(news)
return reply
