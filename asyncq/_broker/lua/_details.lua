-- details: all fields of tasks, of as many as fit into so many bytes, and of one at least.
local function details(tasks, ids, most)
  local found, bytes = {}, 0
  for i, id in ipairs(ids) do
    if bytes > most then break end
    -- Not `call`: what is no hash is shown as a task without fields, and spoils no page.
    local fields = redis.pcall('HGETALL', tasks .. id)
    if fields.err then fields = {} end
    for _, item in ipairs(fields) do bytes = bytes + #item end
    found[i] = fields
  end
  return found
end
