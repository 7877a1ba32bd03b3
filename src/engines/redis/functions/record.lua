-- Notes orders as outstanding; an order number that is there already stays as it is, but for a place that is lost.
--
-- keys     1 hash of wins: person → win*, and turns (turns.lua)   of one bucket and one phase
--          2 hash of pending: person → pending*   of the same
--          3 counter: pending orders of the bucket, all phases
--          4 set of the phases of which the bucket holds something
--          5 the bucket's mark, and 6 its counter of tears: whether it is whole (wholeness.lua)
-- args     1 packed orders: (u8 length | person | pending)*, at most 512, of any people, any order number again
--          2 for how long wins are kept from now on, in ms
--          3 the phase
--          4 packed people whose turns end with it: (u8 length | person | u32 number)*; may be empty
--          5 holder of these turns: 8 bytes, this process
--          6 where the log begins: what stands before it was lost with another log, and stands where it is noted now
-- returns  the places in args 1, from 0, of those that were certainly never noted before; of a bucket that may have
--          forgotten something, none
-- example  FCALL <library>_record 6 {gala.b3}w2 {gala.b3}o2 {gala.b3}n {gala.b3}p {gala.b3}g {gala.b3}t <bytes> 604800000 2 <bytes> <8 bytes> 0
local packed, wins_ttl_ms = args[1], args[2]
if #packed == 0 then return {} end
prepare()
give_back(keys[1], args[4], args[5])
local people, entries = unpack_items(packed, pending_bytes)
local wins, pending = values_of(keys[1], people), values_of(keys[2], people)

local begin = tonumber(args[6])
--- The value, with the entry's place in it where the place that it has is lost; and whether that was so.
local function moved(value, entry, suffix, bytes_of)
  local at = begin > 0 and find(value, suffix, bytes_of)
  if not at or sequence_at(value, at) >= begin then return value, false end
  return sub(value, 1, at) .. sub(entry, 2, WIN_HEAD_BYTES) .. sub(value, at + WIN_HEAD_BYTES), true
end

local changed, is_changed, new = {}, {}, {}
local function touch(person)
  if is_changed[person] then return end
  is_changed[person] = true
  changed[#changed + 1] = person
end

for index, person in ipairs(people) do
  local entry = entries[index]
  local suffix = suffix_at(entry, 1)
  -- Wins expire as a whole, pending never does: so both are asked.
  if not find(wins[person], suffix, win_bytes) and not find(pending[person], suffix, pending_bytes) then
    wins[person] = (wins[person] or '') .. sub(entry, 1, win_bytes(entry, 1))
    pending[person] = (pending[person] or '') .. entry
    new[#new + 1] = index - 1
    touch(person)
  else
    local win_moved, pending_moved
    wins[person], win_moved = moved(wins[person], entry, suffix, win_bytes)
    pending[person], pending_moved = moved(pending[person], entry, suffix, pending_bytes)
    if win_moved or pending_moved then touch(person) end
  end
end
if #changed == 0 then return new end

local wins_now, pending_now = {}, {}
local function add(values, person, value)
  if not value then return end
  values[#values + 1], values[#values + 2] = person, value
end
for _, person in ipairs(changed) do
  add(wins_now, person, wins[person])
  add(pending_now, person, pending[person])
end
if #wins_now > 0 then redis.call('HSET', keys[1], unpack(wins_now)) end
redis.call('PEXPIRE', keys[1], wins_ttl_ms)
if #pending_now > 0 then redis.call('HSET', keys[2], unpack(pending_now)) end
redis.call('INCRBY', keys[3], #new)
redis.call('SADD', keys[4], args[3])
if redis.call('GET', keys[5]) ~= state_of(keys[6]) then return {} end
return new
