-- whole: what a field counts, as text; '0' where it is missing or somebody wrote what is no count.
local function whole(text)
  return text and #text <= 15 and string.match(text, '^%d+$') or '0'
end
