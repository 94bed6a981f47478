-- ended: tell who waits for a task that it is over. `channels` is the field `awaited` of its hash, if any.
--
-- The message says which task, and how it ended, in case nothing is kept of it. Not `call`: nobody may be
-- kept from settling by those who wait.
local function ended(channels, how, task)
  if type(channels) ~= 'string' then return end
  for channel in string.gmatch(channels, '%S+') do
    redis.pcall('PUBLISH', channel, 'ended ' .. how .. ' ' .. task)
  end
end
