-- dismiss: a client waits no longer for these tasks.
--
-- KEYS  ...         for each task: Q t:<id>
-- ARGV  again       '1' when this call was sent before
-- ARGV  channel     of the client
-- REPLY ok
for _, task in ipairs(KEYS) do
  local channels = redis.pcall('HGET', task, 'awaited')
  if type(channels) == 'string' then
    local others = {}
    for channel in string.gmatch(channels, '%S+') do
      if channel ~= ARGV[2] then others[#others + 1] = channel end
    end
    -- Takes no memory, so that a full Redis lets the rest through (see _begin.lua).
    redis.call('HDEL', task, 'awaited')
    if #others > 0 then redis.call('HSET', task, 'awaited', table.concat(others, ' ')) end
  end
end
return 'ok'
