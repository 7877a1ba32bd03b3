-- Marks a bucket whole, unless its state has changed since it was looked at.
--
-- keys     1 the mark
--          2 counter of tears
-- args     1 the state that wholeness gave before the bucket was filled again
-- returns  1 when it is marked, 0 when the state has changed
-- example  FCALL <library>_mark_whole 2 {gala.b3}g {gala.b3}t e6d3…0e93a:4
if state_of(keys[2]) ~= args[1] then return 0 end
redis.call('SET', keys[1], args[1])
return 1
