-- Notes orders as outstanding; an order number that is there already stays as it is.
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
-- returns  the places in args 1, from 0, of those that were certainly never noted before; of a bucket that may have
--          forgotten something, none
-- example  FCALL <library>_record 6 {gala.b3}w2 {gala.b3}o2 {gala.b3}n {gala.b3}p {gala.b3}g {gala.b3}t <bytes> 604800000 2 <bytes> <8 bytes>
local packed, wins_ttl_ms = args[1], args[2]
if #packed == 0 then return {} end
prepare()
give_back(keys[1], args[4], args[5])
local people, entries = unpack_items(packed, pending_bytes)
local wins, pending = values_of(keys[1], people), values_of(keys[2], people)

local changed, is_changed, new = {}, {}, {}
for index, person in ipairs(people) do
  local entry = entries[index]
  local suffix = suffix_at(entry, 1)
  -- Wins expire as a whole, pending never does: so both are asked.
  if not find(wins[person], suffix, win_bytes) and not find(pending[person], suffix, pending_bytes) then
    wins[person] = (wins[person] or '') .. sub(entry, 1, win_bytes(entry, 1))
    pending[person] = (pending[person] or '') .. entry
    new[#new + 1] = index - 1
    if not is_changed[person] then
      is_changed[person] = true
      changed[#changed + 1] = person
    end
  end
end
if #new == 0 then return new end

local wins_now, pending_now = {}, {}
for index, person in ipairs(changed) do
  wins_now[2 * index - 1], wins_now[2 * index] = person, wins[person]
  pending_now[2 * index - 1], pending_now[2 * index] = person, pending[person]
end
redis.call('HSET', keys[1], unpack(wins_now))
redis.call('PEXPIRE', keys[1], wins_ttl_ms)
redis.call('HSET', keys[2], unpack(pending_now))
redis.call('INCRBY', keys[3], #new)
redis.call('SADD', keys[4], args[3])
if redis.call('GET', keys[5]) ~= state_of(keys[6]) then return {} end
return new
