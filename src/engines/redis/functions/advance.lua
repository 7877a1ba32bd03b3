-- Moves pending orders 1 → 2 → 8, never back. A credited one (8) leaves; its win stays. Unknown ones are passed over.
--
-- keys     1 hash of pending: person → pending*   of one bucket and one phase
--          2 counter: pending orders of the bucket, all phases
-- args     1 packed order numbers: (u8 length | person | u8 length | suffix)*, at most 512
--          2 status: 1, 2 or 8
-- returns  how many left
-- example  FCALL <library>_advance 2 {gala.b3}o2 {gala.b3}n <bytes> 8
local CREDITED = 8
local packed, status = args[1], tonumber(args[2])
if #packed == 0 then return 0 end
prepare()
local people, suffixes = unpack_items(packed, function(value, at) return 1 + byte(value, at) end)
local pending = values_of(keys[1], people)

local changed, left = {}, 0
for index, person in ipairs(people) do
  local value = pending[person]
  local at = find(value, sub(suffixes[index], 2), pending_bytes)
  if at and status == CREDITED then
    pending[person] = sub(value, 1, at - 1) .. sub(value, at + pending_bytes(value, at))
    changed[person] = true
    left = left + 1
  elseif at then
    local status_at = at + win_bytes(value, at)
    if byte(value, status_at) < status then
      pending[person] = sub(value, 1, status_at - 1) .. string.char(status) .. sub(value, status_at + 1)
      changed[person] = true
    end
  end
end

local kept, gone = {}, {}
for person in pairs(changed) do
  if pending[person] == '' then
    gone[#gone + 1] = person
  else
    kept[#kept + 1] = person
    kept[#kept + 1] = pending[person]
  end
end
if #kept > 0 then redis.call('HSET', keys[1], unpack(kept)) end
if #gone > 0 then redis.call('HDEL', keys[1], unpack(gone)) end
if left > 0 then redis.call('DECRBY', keys[2], left) end
return left
