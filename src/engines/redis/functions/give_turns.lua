-- Gives turns back of which nothing was recorded. One that ran out, or is another's by now, is passed over.
--
-- keys     1 hash of wins, and turns (turns.lua)   of one bucket and phase
-- args     1 packed people: (u8 length | person | u32 number)*, at most 512
--          2 holder: 8 bytes, this process
-- returns  how many were given back
-- example  FCALL <library>_give_turns 1 {gala.b3}w2 <bytes> <8 bytes>
prepare()
return give_back(keys[1], args[1], args[2])
