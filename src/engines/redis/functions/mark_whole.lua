-- Marks a bucket whole, unless its state has changed since it was looked at.
--
-- keys     1 the mark
--          2 counter of tears
-- args     1 the state that wholeness gave before the bucket was filled again
-- returns  1 when it is marked, 0 when the state has changed
-- example  FCALL <library>_mark_whole 2 {gala.b3}g {gala.b3}t e6d3…0e93a:4
--
-- A counter that is not there would not do: while a slot moves, Redis refuses whatever names two keys of which one is
-- missing, and `record` names this one too.
if state_of(keys[2]) ~= args[1] then return 0 end
redis.call('SET', keys[1], args[1])
redis.call('SET', keys[2], 0, 'NX')
return 1
