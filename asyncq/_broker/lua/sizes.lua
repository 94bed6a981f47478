-- sizes: how many tasks several queues have in each state.
--
-- INCLUDE more_than_counted
-- INCLUDE confirm
-- INCLUDE sizes_of
--
-- KEYS  ...         for each queue: Q pending, lease, scheduled, retry, archived, completed, groups,
--                   aggregation_sets, flow
-- ARGV  again       '1' when this call was sent before; only read here
-- ARGV  most        groups and aggregation sets that may be counted, in all queues together
-- ARGV  ...         for each queue: prefix of its groups
-- REPLY [numbers for each queue]: pending, active, scheduled, retry, archived, completed, aggregating, and
--       the number of groups, with spaces between; '' where all of them are 0
--
-- What holds something else than it should counts nothing. Beyond `most` groups the tasks in them are
-- counted in another way (more_than_counted).
local PER_QUEUE = 9
local left = tonumber(ARGV[2])

local reply = {}
for queue = 1, #KEYS / PER_QUEUE do
  local base = (queue - 1) * PER_QUEUE
  local there = redis.call('EXISTS', unpack(KEYS, base + 1, base + 8))
  reply[queue] = ''
  if there > 0 then
    local sizes, _, more = sizes_of(KEYS, base, KEYS[base + 9], ARGV[2 + queue], there, left)
    reply[queue], left = table.concat(sizes, ' '), more
  end
end
return reply
