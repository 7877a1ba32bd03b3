-- Keeps the newest envelope and tells every subscriber of it; an older one, or the same again, changes nothing.
--
-- keys     1 hash { sequence: decimal, envelope: bytes }; also the name of the channel
-- args     1 sequence, decimal, below 2^53
--          2 envelope
-- returns  1 when it was newer, 0 when not
-- example  FCALL <library>_publish 1 {gala}signals 17 <bytes>
--
-- PUBLISH reaches the subscribers of every node.
local known = tonumber(redis.call('HGET', keys[1], 'sequence') or '-1')
if tonumber(args[1]) <= known then return 0 end
redis.call('HSET', keys[1], 'sequence', args[1], 'envelope', args[2])
redis.call('PUBLISH', keys[1], args[2])
return 1
