-- Gives a lease back with the work unfinished, fenced. A claim that was lost is remembered again as far as the next claim needs it.
local meta, done, work, journal, held, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local key, step, epoch, kept_s = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local stored = tonumber(redis.call('HGET', work, 'epoch') or 0)
if stored > tonumber(epoch) then return 'fenced' end
if stored < tonumber(epoch) then
  if redis.call('SISMEMBER', done, key) == 1 then return 'fenced' end
  redis.call('HSET', work, 'epoch', epoch, 'step', step)
end
redis.call('HDEL', work, 'holder', 'ticket')
redis.call('SREM', held, key)
redis.call('SADD', waiting, key)
for _, name in ipairs({meta, done, held, waiting, work, journal}) do
  redis.call('EXPIRE', name, kept_s)
end
return 'ok'
