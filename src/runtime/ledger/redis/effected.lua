-- The archive has the effect of this work: a dead holder of it and a message that waits count no more. Whoever lives keeps it.
local work, held, waiting = KEYS[1], KEYS[2], KEYS[3]
local key, holder, alive_prefix = ARGV[1], ARGV[2], ARGV[3]

local known = redis.call('HGET', work, 'holder')
if known and known ~= holder and redis.call('EXISTS', alive_prefix .. known) == 1 then return 'held' end
redis.call('HDEL', work, 'holder', 'ticket')
redis.call('SREM', held, key)
redis.call('SREM', waiting, key)
return 'ok'
