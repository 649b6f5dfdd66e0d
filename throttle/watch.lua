-- Sends of one provider that wait for their receipts, and our own door, with the server's clock. Whole microseconds.
-- KEYS: the door; of a provider: sends that wait, sends found silent, its last delays, sends reported and not yet told,
-- reports that found no send.
-- ARGV: the step's name and its fields.
local DOOR, WAITING, SILENT, DELAYS, REPORTED, EARLY = unpack(KEYS)
local function int(i) return tonumber(ARGV[i]) end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function text(number) return string.format('%.0f', number) end

local KEEP = 86400 -- seconds a provider that is no longer used is remembered
local GAP = 3000000 -- the door beats every second; one beat may come late, or be lost
local MOST = 200 -- sends watched at a time, and delays remembered
local ENOUGH = 20 -- delays below which a percentile says nothing
local LATE = 10000000 -- a busy worker's news of a send may come so long after the report of it
local CROWD = 20000 -- reports without a send that are kept so long

local function remember(list, value)
  redis.call('LPUSH', list, value); redis.call('LTRIM', list, 0, MOST - 1); redis.call('EXPIRE', list, KEEP)
end

-- What was sent at this time is reported, this long after it; `told` also to whom judges.
local function learn(at, delay, told)
  remember(DELAYS, text(math.max(0, delay)))
  if told then remember(REPORTED, text(at)) end
end

local function usual(hush, window)
  local known = redis.call('LRANGE', DELAYS, 0, -1)
  for i, delay in ipairs(known) do known[i] = tonumber(delay) end
  table.sort(known)
  local slow = 3 * (known[#known] or 0)
  if #known >= ENOUGH then slow = 2 * known[math.ceil(#known * 0.95)] end
  return math.min(math.max(hush, slow), window)
end

local steps = {}

-- Our door is open: some process of ours takes receipts and writes them down.
function steps.beat()
  local last = tonumber(redis.call('HGET', DOOR, 'last') or '0')
  if now - last > GAP then redis.call('HSET', DOOR, 'since', text(now)) end
  redis.call('HSET', DOOR, 'last', text(now))
end

-- Pairs of a delivery and whether it has to be watched, however many are.
function steps.sent()
  local n = redis.call('ZCARD', WAITING)
  for i = 2, #ARGV, 2 do
    if redis.call('ZREM', EARLY, ARGV[i]) == 1 then
      learn(now, 0, true) -- it must not hold a place: nothing will come for it any more
    elseif ARGV[i + 1] == '1' or n < MOST then
      n = n + redis.call('ZADD', WAITING, text(now), ARGV[i])
    end
  end
  redis.call('EXPIRE', WAITING, KEEP)
end

-- Pairs of a delivery and how long ago it was reported.
function steps.reported()
  for i = 2, #ARGV, 2 do
    local in_time = redis.call('ZSCORE', WAITING, ARGV[i])
    local at = tonumber(in_time or redis.call('ZSCORE', SILENT, ARGV[i]))
    if at then
      redis.call('ZREM', in_time and WAITING or SILENT, ARGV[i])
      learn(at, now - at - int(i + 1), in_time)
    else
      redis.call('ZADD', EARLY, text(now), ARGV[i])
    end
  end
  redis.call('ZREMRANGEBYSCORE', EARLY, '-inf', text(now - LATE))
  redis.call('ZREMRANGEBYRANK', EARLY, 0, -CROWD - 1)
  redis.call('PEXPIRE', EARLY, LATE / 1000)
end

-- Returns the usual time, the ages of the sends reported since the last judgement, and those now found silent.
function steps.judge()
  local hush, window = int(2), int(3)
  local limit, ages, silent = usual(hush, window), {}, {}
  for i, at in ipairs(redis.call('LRANGE', REPORTED, 0, -1)) do ages[i] = now - tonumber(at) end
  redis.call('DEL', REPORTED)
  local since, last = unpack(redis.call('HMGET', DOOR, 'since', 'last'))
  if last and now - tonumber(last) <= GAP then
    redis.call('ZREMRANGEBYSCORE', WAITING, '-inf', '(' .. since)
    local old = redis.call('ZRANGEBYSCORE', WAITING, '-inf', text(now - limit), 'WITHSCORES')
    for i = 1, #old, 2 do
      silent[#silent + 1] = old[i]
      redis.call('ZREM', WAITING, old[i])
      redis.call('ZADD', SILENT, old[i + 1], old[i])
    end
  end
  redis.call('ZREMRANGEBYSCORE', SILENT, '-inf', text(now - window))
  redis.call('ZREMRANGEBYRANK', SILENT, 0, -MOST - 1)
  redis.call('EXPIRE', SILENT, KEEP)
  return {limit, ages, silent}
end

return steps[ARGV[1]]()
