-- details: all fields of tasks, of as many as fit into so many bytes, and of one at least. Without the record
-- of earlier attempts, which is larger than all the rest.
local function details(tasks, ids, most)
  local found, bytes = {}, 0
  for i, id in ipairs(ids) do
    if bytes > most then break end
    -- Not `call`: what is no hash is shown as a task without fields, and spoils no page.
    local fields = redis.pcall('HGETALL', tasks .. id)
    if fields.err then fields = {} end
    local record
    for at, item in ipairs(fields) do
      if item == 'attempts' and at % 2 == 1 then record = at else bytes = bytes + #item end
    end
    if record then
      bytes = bytes - #fields[record + 1]
      table.remove(fields, record)
      table.remove(fields, record)
    end
    found[i] = fields
  end
  return found
end
