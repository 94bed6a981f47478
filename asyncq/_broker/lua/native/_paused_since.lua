-- paused_since: a time as `paused` holds it.
local function paused_since(time)
  return string.format('%.6f', time)
end
