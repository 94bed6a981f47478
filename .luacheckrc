-- Redis runs Lua 5.1 with its own globals; KEYS and ARGV are never written.
std = "lua51"
-- Functions of the files that start with an underscore, which `-- INCLUDE name` puts in front.
-- tests/architecture/test_lua_headers.py checks that who uses one includes it.
local pieces = {
  "active_list", "allowance", "ask_for_tick", "ask_to_stop", "begin", "book", "bygone", "call_next",
  "clear_task", "clock", "compare_task", "confirm", "count_retry", "details", "disband", "due_in", "ended",
  "exactly", "facts", "field_of", "group_of", "hold", "leave", "let_go", "lock_of", "moment",
  "more_than_counted", "moving", "nanoseconds", "next_due", "note_attempt", "note_group", "note_skip", "parts_of",
  "paused_since", "place", "read_task", "remember", "rewrite", "signed", "sizes_of", "store_task", "take_tick",
  "times_active", "trace_of", "verdict", "wait_until", "wake", "whereabouts", "whole", "write_task",
}
read_globals = { "KEYS", "ARGV", "redis", "cjson", "cmsgpack", "struct", "bit" }
for _, piece in ipairs(pieces) do table.insert(read_globals, piece) end
max_line_length = 110
include_files = { "asyncq/_broker/lua/*.lua", "asyncq/_broker/lua/*/*.lua" }
-- A piece defines its function for others, so it looks unused there.
files["asyncq/_broker/lua/_*.lua"] = { ignore = { "211" } }
files["asyncq/_broker/lua/*/_*.lua"] = { ignore = { "211", "212" } }
