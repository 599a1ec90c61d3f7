-- Appends to a journal, fenced. Answers "ok" and what was spent, or "fenced". An entry whose key is there already changes nothing, so an append may be repeated and is paid once.
local meta, done, work, journal, held, waiting, alive, wasted = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local key, holder, step, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local alive_ms, kept_s = ARGV[5], ARGV[6]
local FIRST, WIDTH = 7, 6

-- What comes too late was paid for, and is counted once.
local function fenced()
  -- A campaign that was forgotten stays so.
  if redis.call('EXISTS', meta) == 0 then return 'fenced' end
  for at = FIRST, #ARGV, WIDTH do
    if tonumber(ARGV[at + 4]) > 0 and redis.call('SADD', wasted, key .. '/' .. epoch .. '/' .. ARGV[at]) == 1 then
      redis.call('HINCRBY', meta, 'wasted_prompt_tokens', ARGV[at + 2])
      redis.call('HINCRBY', meta, 'wasted_completion_tokens', ARGV[at + 3])
      redis.call('HINCRBY', meta, 'wasted_calls', ARGV[at + 4])
      redis.call('HINCRBY', meta, 'wasted_cost_micros', ARGV[at + 5])
      redis.call('EXPIRE', wasted, kept_s)
    end
  end
  return 'fenced'
end

local known = redis.call('HMGET', work, 'epoch', 'holder')
local stored = tonumber(known[1] or 0)
if stored > tonumber(epoch) then return fenced() end
if stored == tonumber(epoch) then
  if known[2] ~= holder then return fenced() end
else
  if redis.call('SISMEMBER', done, key) == 1 then return fenced() end
  -- The claim was lost and nobody claimed since: it is written again, and the journal has a hole where the lost entries were.
  redis.call('HSET', work, 'epoch', epoch, 'step', step, 'holder', holder, 'suspicions', 0, 'journal_at_claim', 0, 'is_torn', '1')
  redis.call('HDEL', work, 'ticket')
  redis.call('SADD', held, key)
  redis.call('SREM', waiting, key)
  redis.call('SET', alive, '1', 'PX', alive_ms)
end

local number = redis.call('HLEN', journal)
local prompt_tokens, completion_tokens, calls, cost_micros = 0, 0, 0, 0
for at = FIRST, #ARGV, WIDTH do
  if redis.call('HSETNX', journal, ARGV[at], struct.pack('>I4', number) .. ARGV[at + 1]) == 1 then
    number = number + 1
    prompt_tokens = prompt_tokens + tonumber(ARGV[at + 2])
    completion_tokens = completion_tokens + tonumber(ARGV[at + 3])
    calls = calls + tonumber(ARGV[at + 4])
    cost_micros = cost_micros + tonumber(ARGV[at + 5])
  end
end
if calls > 0 or prompt_tokens > 0 or completion_tokens > 0 then
  redis.call('HINCRBY', meta, 'prompt_tokens', string.format('%.0f', prompt_tokens))
  redis.call('HINCRBY', meta, 'completion_tokens', string.format('%.0f', completion_tokens))
  redis.call('HINCRBY', meta, 'calls', string.format('%.0f', calls))
  if cost_micros > 0 then redis.call('HINCRBY', meta, 'cost_micros', string.format('%.0f', cost_micros)) end
end
for _, name in ipairs({meta, done, held, waiting, work, journal}) do
  redis.call('EXPIRE', name, kept_s)
end
-- What the campaign spent in all: whoever appends hears of it without asking.
local spent = redis.call('HMGET', meta, 'prompt_tokens', 'completion_tokens', 'calls', 'cost_micros')
return table.concat({'ok', spent[1] or '0', spent[2] or '0', spent[3] or '0', spent[4] or '0'}, ' ')
