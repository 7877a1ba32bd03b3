-- Who gave something tells what it has given in all, and whoever looked into the ledger tells what a database of it has
-- credited in all; what is new is added to the total of its kind. Telling the same again, or something older, changes
-- nothing: so whoever had no answer tells again. The total is the larger of the two kinds (docs/decisions/0014).
--
-- keys     1 hash { f: fen, p: packets, cf, cp: the same, credited }: the phase's totals, the one key that readers read
--          2 hash: who → the last told sum, "fen packets"; about 40 bytes each
-- args     (who, fen, packets)*: decimal, below 2^53; at most 500. Who: an instance, or "=" and a database of the ledger
-- returns  { f, p, cf, cp } after it
-- example  FCALL <library>_tell 2 {gala}total2 {gala}told2 k3vX0q9bTfA 120000 37 =east 90000 30
local function told_by(who)
  local fen, packets = string.match(redis.call('HGET', keys[2], who) or '0 0', '^(%d+) (%d+)$')
  return tonumber(fen), tonumber(packets)
end

for at = 1, #args, 3 do
  local who, fen, packets = args[at], tonumber(args[at + 1]), tonumber(args[at + 2])
  local told_fen, told_packets = told_by(who)
  -- Each part only grows; doubles hold whole numbers exactly below 2^53.
  fen, packets = math.max(fen, told_fen), math.max(packets, told_packets)
  if fen > told_fen or packets > told_packets then
    local kind = string.sub(who, 1, 1) == '=' and 'c' or ''
    redis.call('HINCRBY', keys[1], kind .. 'f', string.format('%.0f', fen - told_fen))
    redis.call('HINCRBY', keys[1], kind .. 'p', string.format('%.0f', packets - told_packets))
    redis.call('HSET', keys[2], who, string.format('%.0f %.0f', fen, packets))
  end
end
return redis.call('HMGET', keys[1], 'f', 'p', 'cf', 'cp')
