-- Ends work whose effect is in the archive, fenced. Of work that is remembered as done nothing is kept but its name among the done.
local meta, done, work, journal, held, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local key, epoch, is_remembered, kept_s = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]

if tonumber(redis.call('HGET', work, 'epoch') or 0) > tonumber(epoch) then return 'fenced' end
if is_remembered then redis.call('SADD', done, key) end
redis.call('SREM', held, key)
redis.call('SREM', waiting, key)
redis.call('UNLINK', work, journal)
for _, name in ipairs({meta, done, held, waiting}) do
  redis.call('EXPIRE', name, kept_s)
end
return 'ok'
