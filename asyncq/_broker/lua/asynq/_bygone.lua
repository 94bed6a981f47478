-- bygone: a time that has come as the score of an id in `archived`: the whole second in which it did, as Go
-- writes it.
local function bygone(time)
  return math.floor(time)
end
