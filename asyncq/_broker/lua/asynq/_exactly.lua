-- exactly: the very moment that the score of an id in a sorted set of tasks stands for (see _wait_until.lua).
local function exactly(zset, id, score)
  if not score or not string.find(zset, '}:scheduled$') and not string.find(zset, '}:retry$') then
    return score
  end
  local exact = redis.pcall('ZSCORE', zset .. ':moments', id)
  -- Somebody who does not know of moments may have given it another second.
  if type(exact) ~= 'string' or math.ceil(tonumber(exact)) ~= tonumber(score) then return score end
  return exact
end
