-- An instance tells what it has given in all, since ever; what is new of it is added to the total. Telling the same
-- again, or something older, changes nothing: so whoever had no answer tells again.
--
-- keys     1 hash { f: fen, p: packets }: the phase's total, the one key that readers read
--          2 hash: instance → its last told sum, "fen packets"; about 40 bytes an instance
-- args     (instance, fen, packets)*: decimal, below 2^53; at most 500 instances
-- returns  { fen, packets } of the total after it
-- example  FCALL <library>_tell 2 {gala}total2 {gala}told2 k3vX0q9bTfA 120000 37
local more_fen, more_packets = 0, 0
for at = 1, #args, 3 do
  local instance, fen, packets = args[at], tonumber(args[at + 1]), tonumber(args[at + 2])
  local told = redis.call('HGET', keys[2], instance) or '0 0'
  local told_fen, told_packets = string.match(told, '^(%d+) (%d+)$')
  told_fen, told_packets = tonumber(told_fen), tonumber(told_packets)
  -- Each part only grows; doubles hold whole numbers exactly below 2^53.
  fen, packets = math.max(fen, told_fen), math.max(packets, told_packets)
  if fen > told_fen or packets > told_packets then
    more_fen, more_packets = more_fen + fen - told_fen, more_packets + packets - told_packets
    redis.call('HSET', keys[2], instance, string.format('%.0f %.0f', fen, packets))
  end
end
if more_fen == 0 and more_packets == 0 then return redis.call('HMGET', keys[1], 'f', 'p') end
return {
  redis.call('HINCRBY', keys[1], 'f', string.format('%.0f', more_fen)),
  redis.call('HINCRBY', keys[1], 'p', string.format('%.0f', more_packets)),
}
