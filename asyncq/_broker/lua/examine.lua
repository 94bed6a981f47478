-- examine: read task hashes, and say of each whether it deserves a closer look.
--
-- INCLUDE active_list
-- INCLUDE allowance
-- INCLUDE read_task
-- INCLUDE times_active
-- INCLUDE trace_of
-- INCLUDE clock
-- INCLUDE whereabouts
-- INCLUDE verdict
--
-- KEYS  lease             Q lease             zset
-- KEYS  scheduled         Q scheduled         zset
-- KEYS  retry             Q retry             zset
-- KEYS  archived          Q archived          zset
-- KEYS  completed         Q completed         zset
-- KEYS  aggregation_sets  Q aggregation_sets  zset
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  tasks       prefix of task hashes
-- ARGV  group       prefix of groups
-- ARGV  seen_in     the group in which the ids were found, or ''
-- ARGV  largest     bytes; messages up to it are in the reply, 0 for none
-- ARGV  ...         ids
-- REPLY for each id: word, message, trace (see whereabouts; only of pending and suspect); the word is
--       pending (if the list agrees) | fine | suspect | gone | large (fine, with a message above `largest`)
--       | large_pending
--
-- The list is not searched. Each id is judged by one moment, so a task that moves meanwhile is no suspect.
local now = clock()
local at = {
  lease = KEYS[1], scheduled = KEYS[2], retry = KEYS[3], archived = KEYS[4], completed = KEYS[5],
  aggregation_sets = KEYS[6], tasks = ARGV[2], group = ARGV[3],
}
local seen_in = ARGV[4] ~= '' and {ARGV[4]} or {}
local largest = tonumber(ARGV[5])
local reply = {}
for i = 6, #ARGV do
  local w = whereabouts(at, ARGV[i], seen_in, false, '')
  local word, message, trace = 'gone', '', ''
  if w.exists or #w.places > 0 then
    -- The benefit of the doubt: whether the list agrees is found out by reading it.
    local in_list = w.state == 'pending' and #w.places == 0
    w.listed = in_list and 1 or 0
    if #verdict(w, now) > 0 then
      word, trace = 'suspect', w.trace
    else
      word = in_list and 'pending' or 'fine'
      trace = in_list and w.trace or ''
      -- What is archived is not read again by anybody: there an unreadable message has its peace.
      if largest > 0 and w.state ~= 'archived' then
        if redis.call('HSTRLEN', w.task, 'msg') <= largest then
          message = read_task(w.task, 'msg')[1]
        else
          word = in_list and 'large_pending' or 'large'
        end
      end
    end
  end
  reply[#reply + 1] = word
  reply[#reply + 1] = message
  reply[#reply + 1] = trace
end
return reply
