-- moment: a time as the score of an id in `archived`, `completed` and groups: in whole seconds, which is what
-- Go reads, and never too early.
local function moment(time)
  return math.ceil(time)
end
