-- running: read a part of the active tasks of a queue, with who runs them.
--
-- INCLUDE read_task
-- INCLUDE clock
-- INCLUDE confirm
-- INCLUDE whole
--
-- KEYS  lease       Q lease          zset
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  cursor      '0' to begin, then what the last call answered
-- ARGV  count       about how many
-- ARGV  tasks       prefix of task hashes
-- ARGV  largest     bytes; messages up to it are in the reply
-- REPLY [now, cursor, then per task: id, end of its lease, token, when it was handed over or '', deliveries,
--       retried, message or '' when it is too large]
local page = redis.call('ZSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local reply = {tostring(clock()), page[1]}
for i = 1, #page[2], 2 do
  local id, ends = page[2][i], page[2][i + 1]
  local task = ARGV[4] .. id
  local f = read_task(task, 'delivery', 'delivered_at', 'deliveries', 'retried')
  local length = redis.pcall('HSTRLEN', task, 'msg')
  if length == 0 or type(length) ~= 'number' then confirm(task, KEYS[1]) end
  local message = ''
  if type(length) == 'number' and length <= tonumber(ARGV[5]) then
    message = read_task(task, 'msg')[1] or ''
  end
  for _, item in ipairs({
    id, ends, f[1] or '', f[2] or '', f[3] and whole(f[3]) or '1', whole(f[4]), message,
  }) do reply[#reply + 1] = item end
end
return reply
