-- moment: a time as the score of an id in `archived`, `completed` and groups.
local function moment(time)
  return time
end
