-- How the book's values are built; the other functions use what is here.
--
-- A value holds one person's entries of one phase, one behind the other, oldest first:
--   win     = u8 n | u48 sequence | u16 leaf index | n bytes: the order number without its act id and underscore
--   pending = win | u8 status (1 or 2) | u8 m | m bytes: the rest of the order (book-codec.ts)
-- Numbers are big-endian. Lua counts bytes from 1.

-- While a library is being loaded the standard library is not there, so this is done at the first call.
local byte, sub
local function prepare() byte, sub = string.byte, string.sub end

local WIN_HEAD_BYTES = 9
local ORDERS_OF_ONE_CALL_MAX = 512

--- Bytes of the win at `at`.
local function win_bytes(value, at)
  return WIN_HEAD_BYTES + byte(value, at)
end

--- Bytes of the pending entry at `at`.
local function pending_bytes(value, at)
  local head = win_bytes(value, at)
  return head + 2 + byte(value, at + head + 1)
end

--- What is behind the act id in the order number of the entry at `at`.
local function suffix_at(value, at)
  return sub(value, at + WIN_HEAD_BYTES, at + win_bytes(value, at) - 1)
end

--- The place in the log that the entry at `at` names.
local function sequence_at(value, at)
  local a, b, c, d, e, f = byte(value, at + 1, at + 6)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

--- Where the entry with this suffix begins in a person's value; nil when it is not there, or there is no value.
local function find(value, suffix, bytes_of)
  local at = 1
  while value and at <= #value do
    if suffix_at(value, at) == suffix then return at end
    at = at + bytes_of(value, at)
  end
  return nil
end

--- Reads `packed`: (u8 length | person | item)*, the item's length by `bytes_of`. Returns people, items, both lists.
local function unpack_items(packed, bytes_of)
  local people, items, count, at = {}, {}, 0, 1
  while at <= #packed do
    local person_end = at + byte(packed, at)
    local item_end = person_end + bytes_of(packed, person_end + 1)
    count = count + 1
    people[count] = sub(packed, at + 1, person_end)
    items[count] = sub(packed, person_end + 1, item_end)
    at = item_end + 1
  end
  assert(count <= ORDERS_OF_ONE_CALL_MAX, 'too many orders in one call')
  return people, items
end

--- Field → value of a hash, false where there is none.
local function values_of(key, fields)
  local values = {}
  for index, value in ipairs(redis.call('HMGET', key, unpack(fields))) do values[fields[index]] = value end
  return values
end

--- The bucket's state. It names the primary's replication history, which changes when a replica takes over and when a
--- primary starts anew: the moments at which acknowledged writes get lost. An emptied bucket has no mark.
local function state_of(tears_key)
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return history .. ':' .. (redis.call('GET', tears_key) or '0')
end
