-- Forgets that work was done or suspected. Who works on it at this moment goes on; nobody else may write to it with an older claim.
local meta, done, work, journal, held, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local key, alive_prefix, kept_s = ARGV[1], ARGV[2], ARGV[3]

redis.call('SREM', done, key)
local known = redis.call('HMGET', work, 'epoch', 'holder')
if known[1] then redis.call('HSET', work, 'suspicions', 0) end
local is_running = known[2] and redis.call('EXISTS', alive_prefix .. known[2]) == 1
if not is_running then
  local now = redis.call('TIME')
  local epoch = math.max(tonumber(known[1] or 0) + 1, now[1] * 1000000 + now[2])
  redis.call('HSET', work, 'epoch', string.format('%.0f', epoch), 'journal_at_claim', 0)
  redis.call('HDEL', work, 'holder', 'ticket', 'is_torn')
  redis.call('SREM', held, key)
  redis.call('UNLINK', journal)
end
for _, name in ipairs({meta, done, held, waiting, work}) do
  redis.call('EXPIRE', name, kept_s)
end
return 'ok'
