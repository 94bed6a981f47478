-- field_of: the number that a fact about a task has in its message; nil for what is a field of its hash.
local function field_of(name)
  return ({retried = 6, error = 7, failed_at = 11, completed_at = 13})[name]
end
