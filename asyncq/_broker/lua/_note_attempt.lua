-- note_attempt: keep in the hash of a task how a delivery ended that did not succeed. While it is still ours.
--
-- The field `attempts` holds the last `keep` of them, the oldest first; one is [number, started, ended,
-- server, outcome, error, traceback]. All together are kept small: tracebacks of earlier ones go first, then
-- they.
local function note_attempt(task, keep, outcome, now, message, traceback)
  local BYTES, BESIDE = 8192, 64
  if type(keep) ~= 'number' or keep < 1 then return end
  local f = read_task(task, 'attempts', 'deliveries', 'delivered_at', 'delivery')
  if f.err then return end
  local is_fine, past = pcall(cmsgpack.unpack, f[1] or '')
  if not is_fine or type(past) ~= 'table' then past = {} end
  past[#past + 1] = {
    tonumber(whole(f[2])), tonumber(f[3] or '') or 0, now, string.match(f[4] or '', '^(.*):%d+$') or '',
    outcome, message, traceback or '',
  }
  local bytes, first, is_short = 0, #past, false
  for i = #past, math.max(1, #past - keep + 1), -1 do
    local one = past[i]
    if type(one) ~= 'table' or type(one[6]) ~= 'string' or type(one[7]) ~= 'string' then break end
    is_short = is_short or (i < #past and bytes + #one[6] + #one[7] + BESIDE > BYTES)
    if is_short then one[7] = '' end
    bytes = bytes + #one[6] + #one[7] + BESIDE
    if i < #past and bytes > BYTES then break end
    first = i
  end
  local kept = {}
  for i = first, #past do kept[#kept + 1] = past[i] end
  write_task(task, 'attempts', cmsgpack.pack(kept))
end
