-- wake: tell idle servers that there is work, one server a task and no more than there are tasks.
-- The message is the name of `waiting`, so that the server knows which queue to ask.
--
-- Idle servers stand in `waiting` with the second until which they stand there. The newest is
-- woken first: it is the likeliest to be alive. A server that died while it stood there is
-- noticed because nobody hears the message, and the next one is taken. In a cluster the number of
-- listeners is known to each node for itself only, so there the newest is trusted, and the
-- safety poll of the others is what is left.
local function wake(waiting, channel, count, in_cluster, now)
  while count > 0 do
    -- Not `call`: whoever wakes has put tasks somewhere, and must come to its end.
    local idle = redis.pcall('ZPOPMAX', waiting)
    if idle.err or #idle == 0 then return end
    if tonumber(idle[2]) < now then
      redis.call('DEL', waiting)
      return
    end
    local heard = redis.call('PUBLISH', channel .. idle[1], waiting)
    if heard > 0 or in_cluster then count = count - 1 end
  end
end
