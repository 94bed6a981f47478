-- field_of: the tag that a fact about a task has in its message; nil for what is a field of its hash.
local TAGS = {retried = 48, error = 58, failed_at = 88, completed_at = 104}
local function field_of(name)
  return TAGS[name]
end
