-- active_list: the list of active tasks beside `lease`.
local function active_list(lease)
  return (string.gsub(lease, 'lease$', 'active'))
end
