-- Declares the campaign whole, unless it was lost since its control state was told: then there is more to tell first.
local meta, done, held, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HEXISTS', meta, 'control') == 0 then return 'unknown' end
for at, field in ipairs({'prompt_tokens', 'completion_tokens', 'calls', 'cost_micros'}) do
  local most = math.max(tonumber(redis.call('HGET', meta, field) or 0), tonumber(ARGV[at + 1]))
  redis.call('HSET', meta, field, string.format('%.0f', most))
end
redis.call('HSET', meta, 'whole', '1')
for _, name in ipairs({meta, done, held, waiting}) do
  redis.call('EXPIRE', name, ARGV[1])
end
return 'ok'
