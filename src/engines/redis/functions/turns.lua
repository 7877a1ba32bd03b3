-- A person's turn to be granted to: while one process holds it, the others wait. What the functions share about it.
--
--   field  = a zero byte | person, among the wins: act ids begin with none. A key of its own would be missing most of
--            the time, and while a slot moves Redis refuses whatever names two keys of which one is missing
--   turn   = until | token | doubt
--   until  = 13 digits: the server's time in ms at which it runs out by itself
--   token  = holder (8 bytes: a process) | number (4 bytes: which of its turns)
--   doubt  = '?' once a process has let a turn of this person run out, else nothing: it may have died between a promise
--            and its note, so what is noted of this person may not be all there is
--
-- Turns are not told to replicas nor to the file: who takes over starts without any, and what a full copy brought there
-- has run out long before. It costs a quarter less.

local UNTIL_DIGITS, HOLDER_BYTES, NUMBER_BYTES, DOUBT = 13, 8, 4, '?'
local TOKEN_BYTES = HOLDER_BYTES + NUMBER_BYTES
--- A turn that nobody has, of a person in doubt.
local NOBODYS = '0000000000000' .. '\0\0\0\0\0\0\0\0' .. '\0\0\0\0' .. DOUBT

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

--- Whether a person whose turn may be taken is in doubt: it is there, so it was not given back, and a process knows what
--- itself has promised.
local function is_doubtful(turn, holder)
  if not turn then return false end
  return #turn > UNTIL_DIGITS + TOKEN_BYTES or sub(turn, UNTIL_DIGITS + 1, UNTIL_DIGITS + HOLDER_BYTES) ~= holder
end

--- Ends the turns that are still those of `packed`: (u8 length | person | number)*. Returns how many.
local function give_back(key, packed, holder)
  local people, numbers = unpack_items(packed, number_bytes)
  if #people == 0 then return 0 end
  local fields, ended, doubtful = {}, {}, {}
  for index, person in ipairs(people) do fields[index] = turn_field(person) end
  local turns = values_of(key, fields)
  for index, field in ipairs(fields) do
    local turn = turns[field]
    if turn and sub(turn, UNTIL_DIGITS + 1, UNTIL_DIGITS + TOKEN_BYTES) == holder .. numbers[index] then
      if #turn == UNTIL_DIGITS + TOKEN_BYTES then
        ended[#ended + 1] = field
      else
        doubtful[#doubtful + 1] = field
        doubtful[#doubtful + 1] = NOBODYS
      end
    end
  end
  redis.set_repl(redis.REPL_NONE)
  if #ended > 0 then redis.call('HDEL', key, unpack(ended)) end
  if #doubtful > 0 then redis.call('HSET', key, unpack(doubtful)) end
  redis.set_repl(redis.REPL_ALL)
  return #ended + #doubtful / 2
end
