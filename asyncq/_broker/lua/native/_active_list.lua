-- active_list: the list of active tasks beside `lease`; there is none, `lease` alone says what is active.
local function active_list() end
