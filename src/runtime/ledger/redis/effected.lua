-- The archive has the effect of this work as of a step: its holder at that step or an earlier one, and a message that waits, count no more. A
-- holder that lives all the same has nothing to append any more, and may still finish.
local work, held, waiting = KEYS[1], KEYS[2], KEYS[3]
local key, step = ARGV[1], ARGV[2]

local known = redis.call('HGET', work, 'step')
if known and known > step then return 'later' end
redis.call('HDEL', work, 'holder', 'ticket')
redis.call('SREM', held, key)
redis.call('SREM', waiting, key)
return 'ok'
