-- confirm: end with an error if a key that gave nothing may be on another node of a cluster instead.
--
-- While a slot moves, its keys are on two nodes. The one that gives them away answers commands about a key
-- that has left with an error. The one that takes them answers, to those who were sent there, as if a key
-- that is still to come did not exist; only a command of several keys, some of them missing, is an error
-- there, too. Hence a second key, `beside`, that is known to be where the script runs. Declared keys need
-- none of this: Redis does not begin a script while they are in two places.
local function confirm(key, beside)
  redis.call('EXISTS', key, beside)
end
