-- edit: change the message of a task, or when it is due, if it is still what somebody has seen.
--
-- INCLUDE clear_task
-- INCLUDE exactly
-- INCLUDE wait_until
-- INCLUDE next_due
-- INCLUDE read_task
-- INCLUDE write_task
-- INCLUDE clock
-- INCLUDE confirm
--
-- KEYS  pending     Q pending        list
-- KEYS  scheduled   Q scheduled      zset
-- KEYS  retry       Q retry          zset
-- KEYS  archived    Q archived       zset
-- KEYS  receipt     Q receipt:<sender>  string: the answer to this very call
-- KEYS  task        Q t:<id>         hash
-- KEYS  ...         if it is unique: the lock that it has, and the one that belongs to its message
-- ARGV  again       '1' when this call was sent before
-- ARGV  keep        seconds to keep the receipt
-- ARGV  id
-- ARGV  version     what it must be: the hash over state, due, deliveries and message
-- ARGV  message     '' to leave it as it is
-- ARGV  at          due at this Unix second; '' to leave it as it is
-- ARGV  delay       due so many seconds from now; '' to leave it as it is
-- ARGV  suffix      of the lock that belongs to its message
-- ARGV  tasks       prefix of task hashes, to look at the owner of a lock
-- ARGV  group       prefix of groups
-- ARGV  news        channel of all servers
-- REPLY done | missing | changed (it has another version) | duplicate (another task has the lock)
--       | gathered (it is being aggregated) | displaced (in no place: damage)
--       | the state, when that does not allow it
--
-- A group, and the owner of a lock, cannot be declared: their names are read here. What is written first
-- is what Redis refuses when its memory is full, so a full Redis refuses the whole call.
local call = redis.call
local now = clock()
local id, message = ARGV[3], ARGV[5]
local answer = call('GET', KEYS[5])
if answer then return answer end

local f = read_task(KEYS[6], 'state', 'msg', 'deliveries', 'unique', 'group')
if not f[2] then return 'missing' end
local state = f[1] or 'pending'
local function due_of(zset)
  return exactly(zset, id, call('ZSCORE', zset, id))
end
local old_due = due_of(KEYS[2]) or due_of(KEYS[3]) or ''
local due = tonumber(ARGV[6])
if ARGV[7] ~= '' then due = now + tonumber(ARGV[7]) end
local MOVES = {pending = 'scheduled', scheduled = 'scheduled', retry = 'retry', archived = 'scheduled'}
local ZSETS = {scheduled = KEYS[2], retry = KEYS[3], archived = KEYS[4]}

local function objection()
  if not MOVES[state] and (state ~= 'aggregating' or due) then return state end
  local version = redis.sha1hex(table.concat({state, old_due, f[3] or '', f[2]}, '\0'))
  if version ~= ARGV[4] then return 'changed' end
  if state == 'aggregating' then
    local group = ARGV[10] .. (f[5] or '')
    if type(redis.pcall('ZSCORE', group, id)) ~= 'string' then
      confirm(group, KEYS[6])
      return 'gathered'
    end
  elseif state == 'pending' then
    if due and not call('LPOS', KEYS[1], id, 'RANK', -1) then return 'displaced' end
  elseif not call('ZSCORE', ZSETS[state], id) then
    return 'displaced'
  end
  if KEYS[7] and KEYS[8] ~= KEYS[7] then
    local owner = redis.pcall('GET', KEYS[8])
    if type(owner) == 'table' then return 'duplicate' end
    -- A lock whose owner is gone, or does not know of it, holds nobody up.
    local is_held = owner and owner ~= id and read_task(ARGV[9] .. owner, 'unique')[1] == ARGV[8]
    if is_held then return 'duplicate' end
  end
end

answer = objection()
if answer then return answer end

if message ~= '' then write_task(KEYS[6], 'msg', message) end
local longer = 0
if due then
  local target = ZSETS[MOVES[state]]
  local first = next_due(target)
  wait_until(target, due, id)
  if state == 'pending' then
    call('LREM', KEYS[1], -1, id)
  elseif ZSETS[state] ~= target then
    call('ZREM', ZSETS[state], id)
  end
  if MOVES[state] ~= state then
    write_task(KEYS[6], 'state', MOVES[state])
    clear_task(KEYS[6], 'reason')
  end
  if not first or due < first then call('PUBLISH', ARGV[11], 'due') end
  longer = math.max(0, due - (tonumber(old_due) or now)) * 1000
end
-- The lock follows the message. It is not taken anew where it had run out.
if KEYS[7] then
  if redis.pcall('GET', KEYS[7]) == id and (longer > 0 or KEYS[7] ~= KEYS[8]) then
    local left = math.max(1, call('PTTL', KEYS[7]))
    call('SET', KEYS[8], id, 'PX', math.ceil(left + longer))
    if KEYS[7] ~= KEYS[8] then call('DEL', KEYS[7]) end
  end
  if f[4] then write_task(KEYS[6], 'unique', ARGV[8]) end
end
call('SET', KEYS[5], 'done', 'EX', ARGV[2])
return 'done'
