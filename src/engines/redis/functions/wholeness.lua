-- Whether the bucket still is what it was when somebody last marked it whole.
--
-- keys     1 the mark
--          2 counter of tears: how often a process said that it had kept something from the bucket
-- returns  { the mark, or '' when there is none; the state of this moment }
-- example  FCALL <library>_wholeness 2 {gala.b3}g {gala.b3}t
--
-- The state names the primary's replication history. It changes when a replica takes over and when a primary starts
-- anew, and those are the moments at which acknowledged writes get lost; an empty bucket has no mark.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
return { redis.call('GET', keys[1]) or '', history .. ':' .. (redis.call('GET', keys[2]) or '0') }
