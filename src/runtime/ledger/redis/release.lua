-- Gives a lease back with the work unfinished, fenced. A claim that was lost is remembered again as far as the next claim needs it: that
-- its journal has a hole, too. Work that was cut off had a completion in flight, which is wasted and counted once.
local meta, done, work, journal, held, waiting, wasted = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[8]
local key, step, epoch, kept_s, was_cut_off = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'

if was_cut_off and redis.call('EXISTS', meta) == 1 and redis.call('SADD', wasted, key .. '/' .. epoch) == 1 then
  redis.call('HINCRBY', meta, 'wasted_calls', 1)
  redis.call('EXPIRE', wasted, kept_s)
end

local stored = tonumber(redis.call('HGET', work, 'epoch') or 0)
if stored > tonumber(epoch) then return 'fenced' end
if stored < tonumber(epoch) then
  if redis.call('SISMEMBER', done, key) == 1 then return 'fenced' end
  redis.call('HSET', work, 'epoch', epoch, 'step', step, 'is_torn', '1')
end
redis.call('HDEL', work, 'holder', 'ticket')
redis.call('SREM', held, key)
redis.call('SADD', waiting, key)
for _, name in ipairs({meta, done, held, waiting, work, journal}) do
  redis.call('EXPIRE', name, kept_s)
end
return 'ok'
