-- ask_for_tick: whether one time of an entry of schedulers is to be enqueued.
--
-- `asked` is what a scheduler says of the entry: version, begun (when it had its first time at the earliest,
-- 0 if nobody can say; it counts while no last time is known), and of the time, which many have in common,
-- rules: nominal (when it was due), at (the same as text), gap (seconds between two times at least), keep
-- (seconds to remember it), since (the time before it), is_strict (no time may be left out), overlap ('' or
-- what to do when the last run is not over), is_release (this time waits already, and is to be enqueued now).
-- `fence` is the least version that may enqueue, false if none is known.
--
-- tick is a hash: `at` is the last time that is over, `kept` the second until which the hash is there, `run`
-- the task of the last run, `queued` the time that waits for its end. What schedulers have to do afterwards
-- stays there until one has done it: `note:<time>` goes to the history, `cancel:<task>` is to be cancelled.
--
-- Returns a word, nil when the time is to be enqueued, and what was found: at, kept, run and queued by their
-- numbers, missed_after (the last time before some that were missed), is_going (the last run is not over).
local function stamp(time)
  return string.format('%.6f', time)
end

local function is_running(tasks, id)
  local f = read_task(tasks .. id, 'msg', 'state')
  if f.err or not f[1] then return false end
  return f[2] ~= 'archived' and f[2] ~= 'completed'
end

local function ask_for_tick(tick, asked, fence, tasks, now)
  if fence and (tonumber(fence) or 0) > asked.version then return 'fenced' end
  local rules = asked.rules
  local overlap = rules.overlap
  local found = overlap == '' and not rules.is_release and redis.pcall('HMGET', tick, 'at', 'kept')
    or redis.pcall('HMGET', tick, 'at', 'kept', 'run', 'queued')
  if found.err then return 'unusable' end
  local queued = found[4] and tonumber(found[4])
  found.is_going = overlap ~= '' and found[3] and is_running(tasks, found[3])
  if rules.is_release then
    if not queued or stamp(queued) ~= rules.at then return 'taken' end
    return found.is_going and 'queued' or nil, found
  end
  -- By a scheduler whose clock is wrong. Its claim would keep the others from the times until then.
  local nominal = rules.nominal
  if nominal > now + 60 then return 'early' end
  -- Schedulers that began at different moments reckon an interval from different ones: what comes sooner
  -- after the last time than the interval says is that time again. A millisecond for rounding.
  local last = found[1] and tonumber(found[1])
  if last and (nominal <= last or nominal < last + rules.gap - 0.001) then return 'taken' end
  local from = last or asked.begun
  if from > 0 and from < rules.since - 0.001 then
    if rules.is_strict then return 'behind' end
    found.missed_after = from
  end
  if not found.is_going then return nil, found end
  if overlap == 'skip' or (overlap == 'queue_one' and queued) then return 'overlap', found end
  if overlap == 'queue_one' then return 'queued', found end
  found.cancels = found[3]
  return nil, found
end
