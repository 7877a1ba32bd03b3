-- Whether the bucket still is what it was when somebody last marked it whole.
--
-- keys     1 the mark
--          2 counter of tears: how often a process said that it had kept something from the bucket
-- returns  { the mark, or '' when there is none; the state of this moment }
-- example  FCALL <library>_wholeness 2 {gala.b3}g {gala.b3}t
return { redis.call('GET', keys[1]) or '', state_of(keys[2]) }
