-- hold: put ids among the active ones of a queue, until their leases end; false if they cannot be.
local function hold(lease, ends_at, ids)
  local scores = {}
  for i = 1, #ids do scores[i * 2 - 1], scores[i * 2] = ends_at, ids[i] end
  return type(redis.pcall('ZADD', lease, unpack(scores))) == 'number'
end
