-- await: look what became of tasks, and ask to be told when those that are not over are.
--
-- INCLUDE read_task
--
-- KEYS  awaited     Q awaited        string: somebody waits for tasks of this queue
-- KEYS  ...         for each task: Q t:<id>
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     of the client that waits; '' to look only
-- ARGV  keep        seconds for which `awaited` stands; who waits asks again before that
-- REPLY for each task: [state, progress, result, error, reason]; the state is missing if it is not there.
--       What there is none of is nil; a result is told of completed tasks only
--
-- Who settles looks into the tasks for `awaited` only while the key of that name stands, so queues for
-- which nobody waits pay one EXISTS a call. The field goes with the task, the key by itself.
local LONGEST = 2048
local channel = ARGV[2]
local reply, marked = {}, false

-- A full Redis, or one that cannot save, refuses the marks and lets us look: then nobody is told, and who
-- waits finds out by asking again. But a replica may be behind: there is a primary to be asked.
local function write(...)
  local answer = redis.pcall(...)
  local refused = type(answer) == 'table' and answer.err
  if refused and string.find(refused, 'READONLY', 1, true) then redis.call(...) end
end

for i = 2, #KEYS do
  local f = read_task(KEYS[i], 'msg', 'state', 'progress', 'result', 'error', 'reason', 'awaited')
  local state = f[1] and (f[2] or 'pending') or 'missing'
  local is_over = state == 'completed' or state == 'archived' or state == 'missing'
  reply[i - 1] = {state, f[3], state == 'completed' and f[4], f[5], f[6]}
  if channel ~= '' and not is_over then
    if not marked then
      marked = true
      write('SET', KEYS[1], '', 'EX', ARGV[3])
    end
    local channels = f[7] or ''
    local is_known = string.find(' ' .. channels .. ' ', ' ' .. channel .. ' ', 1, true)
    if not is_known and #channels < LONGEST then
      write('HSET', KEYS[i], 'awaited', channels == '' and channel or channels .. ' ' .. channel)
    end
  end
end
return reply
