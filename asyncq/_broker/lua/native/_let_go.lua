-- let_go: take ids from among the active ones of a queue.
local function let_go(lease, ...)
  redis.pcall('ZREM', lease, ...)
end
