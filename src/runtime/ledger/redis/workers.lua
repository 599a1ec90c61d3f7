-- The reports of the living. Whose time is up goes first; then one report is put down, or taken away, if there is one.
local seen, said = KEYS[1], KEYS[2]
local kept_ms, holder, report = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local gone = redis.call('ZRANGEBYSCORE', seen, '-inf', now_ms - kept_ms)
if report == 'gone' then gone[#gone + 1] = holder end
for _, name in ipairs(gone) do
  redis.call('ZREM', seen, name)
  redis.call('HDEL', said, name)
end
if report and report ~= 'gone' then
  redis.call('ZADD', seen, now_ms, holder)
  redis.call('HSET', said, holder, report)
  redis.call('PEXPIRE', seen, kept_ms)
  redis.call('PEXPIRE', said, kept_ms)
end
return redis.call('HVALS', said)
