-- ask_to_stop: tell the server that has a delivery, if the token names one, that nobody wants it any more.
local function ask_to_stop(channel, token)
  local server = string.match(token, '^(.*):%d+$')
  if server then redis.call('PUBLISH', channel .. server, 'cancel ' .. token) end
  return server
end
