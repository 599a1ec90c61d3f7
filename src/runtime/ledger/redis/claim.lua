-- Decides a claim, and what a death means, in one step. The order of the questions is that of claims.rs beside the embedded ledger.
local meta, done, work, journal, held, waiting, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local key, holder, step, ticket = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local is_quarantine, has_looked = ARGV[5] == '1', ARGV[6] == '1'
local alive_prefix, alive_ms, kept_s, suspicions_max = ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
-- A claim of this holder that nobody works on, because its answer was lost; absent on a first asking.
local lost_ticket = ARGV[11]

local function answer(...)
  -- What a claim asks for is in use. The meta hash comes first: it must never outlive what it vouches for.
  for _, name in ipairs({meta, done, held, waiting, work, journal}) do
    redis.call('EXPIRE', name, kept_s)
  end
  return {...}
end

if redis.call('SISMEMBER', done, key) == 1 then return answer('done') end
local campaign = redis.call('HMGET', meta, 'control', 'whole')
local control, is_whole = campaign[1], campaign[2]
if not (control and is_whole) and not has_looked then return answer('unsure') end
if control == 'cancelled' then return answer('cancelled') end
local known = redis.call('HMGET', work, 'epoch', 'step', 'holder', 'ticket', 'suspicions', 'journal_at_claim', 'is_torn')
if known[2] and known[2] > step then return answer('stale') end
if control == 'paused' then return answer('paused') end

local suspicions = tonumber(known[5] or 0)
local is_torn = known[7]
if known[3] == holder and (known[4] or '') ~= lost_ticket then
  -- The very same claim, sent again over another connection.
  if known[4] == ticket then
    return answer(suspicions > suspicions_max and 'poison' or 'taken', known[1])
  end
  return answer('mine', known[1], known[4] or '')
end
if known[3] and known[3] ~= holder then
  if redis.call('EXISTS', alive_prefix .. known[3]) == 1 then return answer('held') end
  if redis.call('HLEN', journal) > tonumber(known[6] or 0) then suspicions = 0 else suspicions = suspicions + 1 end
  redis.call('HSET', work, 'suspicions', suspicions)
  redis.call('HDEL', work, 'holder', 'ticket')
  redis.call('SREM', held, key)
end
if suspicions >= suspicions_max and not is_quarantine then
  redis.call('SADD', waiting, key)
  return answer('suspect')
end
-- What its journal lacks may be in the archive's copy, which is read by whoever has looked there.
if is_torn and not has_looked then return answer('unsure') end

-- A journal that began after a loss cannot be replayed: what it builds upon is gone.
if is_torn then
  redis.call('UNLINK', journal)
  redis.call('HDEL', work, 'is_torn')
end
local now = redis.call('TIME')
-- Microseconds stay below 2^53 and so exact, and grow even when everything stored was lost.
local epoch = math.max(tonumber(known[1] or 0) + 1, now[1] * 1000000 + now[2])
local epoch_text = string.format('%.0f', epoch)
redis.call('HSET', work, 'epoch', epoch_text, 'step', step, 'holder', holder, 'ticket', ticket, 'suspicions', suspicions,
  'journal_at_claim', redis.call('HLEN', journal))
redis.call('SADD', held, key)
redis.call('SREM', waiting, key)
redis.call('SET', alive, '1', 'PX', alive_ms)
-- Only the quarantine takes what has that many suspicions, so it was there that it added one.
return answer(suspicions > suspicions_max and 'poison' or 'taken', epoch_text)
