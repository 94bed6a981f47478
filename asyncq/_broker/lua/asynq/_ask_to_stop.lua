-- ask_to_stop: tell the server that has a delivery, if the token names one, that nobody wants it any more.
--
-- Go servers are told the id on a channel of theirs, and look for it themselves.
local function ask_to_stop(channel, token, id)
  local server = string.match(token, '^(.*):%d+$')
  if token == 'asynq:0' then
    redis.call('PUBLISH', 'asynq:cancel', id)
  elseif server then
    redis.call('PUBLISH', channel .. server, 'cancel ' .. token)
  end
  return server
end
