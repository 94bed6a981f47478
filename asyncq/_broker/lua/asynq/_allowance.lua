-- allowance: seconds that a delivery is given beyond the end of its lease.
--
-- Go servers set leases by clocks of their own, and give each other so much for the difference.
local function allowance(delivery)
  return delivery == 'asynq:0' and 30 or 0
end
