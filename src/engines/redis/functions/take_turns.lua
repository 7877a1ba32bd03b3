-- Takes people's turns to be granted to, and reads what they have won so far: nobody else adds to it meanwhile.
--
-- keys     1 hash of wins: person → win*, and turns (turns.lua)   of one bucket and phase
--          2 the bucket's mark, and 3 its counter of tears: whether it is whole (wholeness.lua)
-- args     1 packed people: (u8 length | person | u32 number)*, at most 512, each once
--          2 holder: 8 bytes, this process
--          3 how long a turn lasts if nobody gives it back, in ms
--          4 for how long a hash that was not there is kept, in ms
-- returns  for each person the wins, '' when there are none; or, as an integer, for how many ms another still has the
--          turn. Behind them a text with a digit a person: 1 when these wins are all there are, 0 when the bucket may
--          have forgotten some, or the person is in doubt
-- example  FCALL <library>_take_turns 3 {gala.b3}w2 {gala.b3}g {gala.b3}t <bytes> <8 bytes> 4000 604800000
local packed, holder, turn_ms = args[1], args[2], tonumber(args[3])
if #packed == 0 then return { '' } end
prepare()
local people, numbers = unpack_items(packed, number_bytes)
local fields = {}
for index, person in ipairs(people) do
  fields[2 * index - 1], fields[2 * index] = person, turn_field(person)
end
local values = redis.call('HMGET', keys[1], unpack(fields))
local now = now_ms()
local head = string.format('%013.0f', now + turn_ms) .. holder

local is_whole = redis.call('GET', keys[2]) == state_of(keys[3])
local taken, replies, all = {}, {}, {}
for index in ipairs(people) do
  local left = held_ms(values[2 * index], holder, now, turn_ms)
  local doubtful = not left and is_doubtful(values[2 * index], holder)
  if not left then
    taken[#taken + 1] = fields[2 * index]
    taken[#taken + 1] = head .. numbers[index] .. (doubtful and DOUBT or '')
  end
  all[index] = is_whole and not doubtful and '1' or '0'
  replies[index] = left or values[2 * index - 1] or ''
end
if #taken > 0 then
  redis.set_repl(redis.REPL_NONE)
  redis.call('HSET', keys[1], unpack(taken))
  redis.call('PEXPIRE', keys[1], args[4], 'NX')
end
replies[#replies + 1] = table.concat(all)
return replies
