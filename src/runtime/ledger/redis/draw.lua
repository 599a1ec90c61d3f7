-- Draws from a limit that is spent evenly: what is kept is the moment, in microseconds of this server, at which all that was drawn is paid for.
-- The same as buckets.rs beside the port. Asked again after a lost answer it draws twice, which is too slow for once and never too fast.
local bucket = KEYS[1]
local amount, per_minute, wait_max_us = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local time = redis.call('TIME')
-- Microseconds stay below 2^53 and so exact.
local now = time[1] * 1000000 + time[2]
local free = math.max(tonumber(redis.call('GET', bucket) or 0), now)
local wait = free - now
if wait <= wait_max_us then
  -- A day at most, so that no mistake lasts.
  free = free + math.min(math.ceil(amount * 60000000 / math.max(per_minute, 1)), 86400000000)
  redis.call('SET', bucket, string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000) + 1000)
end
return wait
