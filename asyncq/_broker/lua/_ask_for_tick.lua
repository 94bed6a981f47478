-- ask_for_tick: whether one time of an entry of schedulers is to be enqueued.
--
-- `mine` names the key tick. `c` is what a scheduler asks for: nominal (when it was due), at (the same as
-- text), gap (seconds between two times at least), keep (seconds to remember it), since (the time before it),
-- strict ('1': no time may be left out), version (of the entry), fence (the least version that may enqueue;
-- false if none is known), overlap ('' or what to do when the last run is not over), release ('1': this time
-- waits already, and is to be enqueued now), begun (when the entry had its first time at the earliest, 0 if
-- nobody can say; it counts while no last time is known).
--
-- tick is a hash: `at` is the last time that is over, `kept` the second until which the hash is there, `run`
-- the task of the last run, `queued` the time that waits for its end. What schedulers have to do afterwards
-- stays there until one has done it: `note:<time>` goes to the history, `cancel:<task>` is to be cancelled.
--
-- Returns a word when the time is not to be enqueued, else nothing. What is found goes into `c`.
local function stamp(time)
  return string.format('%.6f', time)
end

local function is_running(tasks, id)
  local f = read_task(tasks .. id, 'msg', 'state')
  if f.err or not f[1] then return false end
  return f[2] ~= 'archived' and f[2] ~= 'completed'
end

local function ask_for_tick(mine, c, tasks, now)
  if c.fence and (tonumber(c.fence) or 0) > c.version then return 'fenced' end
  local f = redis.pcall('HMGET', mine.tick, 'at', 'kept', 'run', 'queued')
  if f.err then return 'unusable' end
  c.kept, c.run, c.queued = f[2], f[3], f[4] and tonumber(f[4])
  local is_going = c.overlap ~= '' and c.run and is_running(tasks, c.run)
  if c.release == '1' then
    if not c.queued or stamp(c.queued) ~= c.at then return 'taken' end
    return is_going and 'queued' or nil
  end
  -- By a scheduler whose clock is wrong. Its claim would keep the others from the times until then.
  if c.nominal > now + 60 then return 'early' end
  -- Schedulers that began at different moments reckon an interval from different ones: what comes sooner
  -- after the last time than the interval says is that time again. A millisecond for rounding.
  local last = f[1] and tonumber(f[1])
  if last and (c.nominal <= last or c.nominal < last + c.gap - 0.001) then return 'taken' end
  local from = last or c.begun
  if from > 0 and from < c.since - 0.001 then
    if c.strict == '1' then return 'behind' end
    c.missed_after = from
  end
  if not is_going then return nil end
  if c.overlap == 'skip' or (c.overlap == 'queue_one' and c.queued) then return 'overlap' end
  if c.overlap == 'queue_one' then return 'queued' end
  c.cancels = c.run
end
