-- trace_of: what a task leaves in its hash each time it is put into the pending list.
local function trace_of(_, state, deliveries, lost, mended)
  return table.concat({state, deliveries or '', lost or '', mended or ''}, ' ')
end
