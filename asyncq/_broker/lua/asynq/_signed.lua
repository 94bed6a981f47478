-- signed: what a number in a message means, of one with 32 bits or with 64; no less than 0.
local function signed(value, bits)
  local all = bits == 32 and 4294967296 or 18446744073709551616
  value = (value or 0) % all
  return value < all / 2 and value or 0
end
