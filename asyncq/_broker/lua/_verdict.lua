-- verdict: what is wrong with the whereabouts of an id, and the one place where it belongs.
--
-- Returns a list of kinds of damage, and the place: '' for an id that must go.
--
-- Of several places one is kept. First where work goes on or is sure to: a live lease, then pending, retry,
-- scheduled, the groups. Then a lease that ran out, which recovery turns into pending. What has come to its
-- end stands last: to run a task twice is allowed, to lose it is not.
local function verdict(w, now)
  local ORDER = {
    'live', 'pending', 'retry', 'scheduled', 'group', 'aggregation', 'active', 'unleased', 'archived',
    'completed',
  }
  local AS_STATE = {group = 'aggregating', aggregation = 'aggregating'}
  local kinds, held = {}, {}
  local token = w.token
  -- What is among Go's active tasks is held by somebody, whatever its hash says.
  if w.running and w.running > 0 and w.state ~= 'active' then token = 'asynq:0' end
  local owned = token and string.match(token, '^.+:%d+$')
  for _, place in ipairs(w.places) do held[place] = true end
  if w.listed > 0 then held.pending = true end
  if held.active and owned and w.lease + allowance(token) > now then held.live = true end
  local count = #w.places + math.max(0, w.listed)
  if w.alien then return {'wrong_type'}, '' end
  if not w.message then
    if count > 0 then kinds[1] = 'ghost' elseif w.exists then kinds[1] = 'hollow' end
    return kinds, ''
  end

  local home
  for _, place in ipairs(ORDER) do
    if held[place] then
      home = place == 'live' and 'active' or place
      break
    end
  end
  if not home then
    -- What was finished is not run again; what waited for a time or for a server runs now.
    kinds[1] = 'orphan'
    home = (w.state == 'archived' or w.state == 'completed') and w.state or 'pending'
    if w.state == 'aggregating' and w.group then home = 'group' end
    return kinds, home
  end
  if #w.places + (w.listed > 0 and 1 or 0) > 1 then kinds[#kinds + 1] = 'twice' end
  if w.listed > 1 then kinds[#kinds + 1] = 'duplicate' end
  if #kinds > 0 then return kinds, home == 'unleased' and 'active' or home end
  if home == 'unleased' then
    kinds[#kinds + 1] = 'no_lease'
    home = 'active'
  elseif home == 'active' and w.running and w.running ~= 1 then
    kinds[#kinds + 1] = 'bare_lease'
  end
  if w.state ~= (AS_STATE[home] or home) then kinds[#kinds + 1] = 'wrong_state' end
  if home == 'active' and not owned then
    -- Nobody can settle or extend it.
    kinds[#kinds + 1] = 'no_token'
    home = 'pending'
  elseif home ~= 'active' and w.token and not w.running then
    kinds[#kinds + 1] = 'stale_token'
  end
  return kinds, home
end
