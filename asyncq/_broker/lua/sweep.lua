-- sweep: remove completed tasks whose time is over, and the oldest of too many archived ones.
--
-- INCLUDE clock
--
-- KEYS  completed   Q completed      zset
-- KEYS  archived    Q archived       zset
-- KEYS  flow        Q flow           hash
-- ARGV  again       '1' when this call was sent before
-- ARGV  limit       tasks to remove at the most, of each kind
-- ARGV  max_age     seconds that an archived task is kept
-- ARGV  max_count   how many archived tasks are kept
-- ARGV  tasks       prefix of task hashes
-- ARGV  locks       prefix of unique locks
-- REPLY [reaped, id of each archived task that was dropped ...]
--
-- Task hashes and locks cannot be declared: their names are read here.
local now = clock()
local limit = tonumber(ARGV[2])

local function remove(from, ids, kind)
  if #ids == 0 then return end
  redis.call('ZREM', from, unpack(ids))
  for _, id in ipairs(ids) do
    local task = ARGV[5] .. id
    local suffix = redis.call('HGET', task, 'unique')
    if suffix and redis.call('GET', ARGV[6] .. suffix) == id then redis.call('DEL', ARGV[6] .. suffix) end
    redis.call('DEL', task)
  end
  redis.call('HINCRBY', KEYS[3], kind, #ids)
end

local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, limit)
remove(KEYS[1], over, 'reaped')

local dropped = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[3]), 'LIMIT', 0, limit)
if #dropped == 0 then
  local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
  if excess > 0 then dropped = redis.call('ZRANGE', KEYS[2], 0, math.min(excess, limit) - 1) end
end
remove(KEYS[2], dropped, 'trimmed')

local reply = {#over}
for _, id in ipairs(dropped) do reply[#reply + 1] = id end
return reply
