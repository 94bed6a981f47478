-- Redis runs Lua 5.1 with its own globals; KEYS and ARGV are never written.
std = "lua51"
-- Functions of the files that start with an underscore, which `-- INCLUDE name` puts in front.
-- tests/architecture/test_lua_headers.py checks that who uses one includes it.
local pieces = { "ask_for_tick", "begin", "book", "call_next", "clock", "confirm", "details", "disband", "ended", "lock_of", "moving", "note_skip", "place", "take_tick", "verdict", "wake", "whereabouts", "whole" }
read_globals = { "KEYS", "ARGV", "redis", "cjson", "cmsgpack", "struct", "bit" }
for _, piece in ipairs(pieces) do table.insert(read_globals, piece) end
max_line_length = 110
include_files = { "asyncq/_broker/lua/*.lua" }
-- A piece defines its function for others, so it looks unused there.
files["asyncq/_broker/lua/_*.lua"] = { ignore = { "211" } }
