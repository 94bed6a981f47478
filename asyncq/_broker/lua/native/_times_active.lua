-- times_active: how many times the list of active tasks holds an id; there is no such list.
local function times_active() end
