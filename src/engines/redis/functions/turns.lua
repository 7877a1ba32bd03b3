-- A person's turn to be granted to: while one process holds it, the others wait. What the functions share about it.
--
--   field  = a zero byte | person, among the wins: act ids begin with none. A key of its own would be missing most of
--            the time, and while a slot moves Redis refuses whatever names two keys of which one is missing
--   turn   = until | token
--   until  = 13 digits: the server's time in ms at which it runs out by itself
--   token  = holder (8 bytes: a process) | number (4 bytes: which of its turns)
--
-- Turns are not told to replicas nor to the file: who takes over starts without any, and what a full copy brought there
-- has run out long before. It costs a quarter less.

local UNTIL_DIGITS, HOLDER_BYTES, NUMBER_BYTES = 13, 8, 4

local function number_bytes() return NUMBER_BYTES end

local function turn_field(person) return '\0' .. person end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

--- For how long, in ms, another process still holds this turn; nil when it may be taken. A process waits for itself
--- before it comes here. A turn that ends later than it can is of a time before the server's clock was set back.
local function held_ms(turn, holder, now, turn_ms)
  if not turn or sub(turn, UNTIL_DIGITS + 1, UNTIL_DIGITS + HOLDER_BYTES) == holder then return nil end
  local left = tonumber(sub(turn, 1, UNTIL_DIGITS)) - now
  if left <= 0 or left > turn_ms then return nil end
  return left
end

--- Whether a turn that may be taken was another process's, which has let it run out: it may have died between a promise
--- and its note.
local function was_left(turn, holder)
  return turn and sub(turn, UNTIL_DIGITS + 1, UNTIL_DIGITS + HOLDER_BYTES) ~= holder
end

--- Ends the turns that are still those of `packed`: (u8 length | person | number)*. Returns how many.
local function give_back(key, packed, holder)
  local people, numbers = unpack_items(packed, number_bytes)
  if #people == 0 then return 0 end
  local fields, ended = {}, {}
  for index, person in ipairs(people) do fields[index] = turn_field(person) end
  local turns = values_of(key, fields)
  for index, field in ipairs(fields) do
    local turn = turns[field]
    if turn and sub(turn, UNTIL_DIGITS + 1) == holder .. numbers[index] then ended[#ended + 1] = field end
  end
  if #ended > 0 then
    redis.set_repl(redis.REPL_NONE)
    redis.call('HDEL', key, unpack(ended))
    redis.set_repl(redis.REPL_ALL)
  end
  return #ended
end
