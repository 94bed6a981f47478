-- paused_since: a time as `paused` holds it, in whole seconds as Go writes it.
local function paused_since(time)
  return string.format('%.0f', math.floor(time))
end
