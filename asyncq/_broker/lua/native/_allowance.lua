-- allowance: seconds that a delivery is given beyond the end of its lease. Leases go by the clock of Redis.
local function allowance()
  return 0
end
