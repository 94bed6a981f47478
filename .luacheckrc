-- Redis runs Lua 5.1 with its own globals; KEYS and ARGV are never written.
std = "lua51"
read_globals = { "KEYS", "ARGV", "redis", "cjson", "cmsgpack", "struct", "bit" }
max_line_length = 110
include_files = { "asyncq/_broker/lua/*.lua" }
-- A script is a chunk: its locals are its own, and it answers with `return`.
allow_defined_top = false
