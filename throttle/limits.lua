-- Takes all limits of many requests at once, or gives back what they took, with the server's clock. Microseconds.
-- KEYS: the processes that ask; then what the items name by their number, from 1 on.
-- ARGV: the step, the process; then each request: how many items it has ('+2': it is nothing without the last one
--   that had no plus), and of each: key, kind, cost, and of a bucket (b) the time one unit takes to come back and
--   the time all of them take; of a daily quota (q) its limit and,
--   to give back, the day it was taken.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local DAY = 86400000000
local today = math.floor(now / DAY)
local LIVES = 10000000 -- a process that has not asked for so long is gone
local GRAIN = 0.5 -- a unit of 1/11 minute has no end: eleven of them are a minute only nearly

local full_in, used, changed = {}, {}, {}

-- How long until a bucket is full, if nothing more is taken. Kept is when that is, whole microseconds and a fraction,
-- which are read one by one: a number has no room for both.
local function bucket(key)
  if not full_in[key] then
    local whole, fraction = string.match(redis.call('GET', KEYS[key + 1]) or '0', '^(%d+)(.*)$')
    full_in[key] = math.max(0, tonumber(whole) - now + tonumber('0' .. fraction))
  end
  return full_in[key]
end

-- What of today's quota is used.
local function quota(key)
  if not used[key] then
    local day, n = string.match(redis.call('GET', KEYS[key + 1]) or '', '^(%d+):(%d+)$')
    used[key] = tonumber(day) == today and tonumber(n) or 0
  end
  return used[key]
end

-- How long until an item fits; nil if it does now.
local function wait(item)
  if item.kind == 'b' then
    local early = bucket(item.key) + item.cost * item.unit - item.whole
    return early > GRAIN and early or nil
  end
  return quota(item.key) + item.cost > item.unit and DAY - now % DAY or nil
end

local function take(item, sign)
  if item.kind == 'b' then
    full_in[item.key] = math.max(0, bucket(item.key) + sign * item.cost * item.unit)
  else
    -- What was taken on another day is gone with it.
    if sign < 0 and item.whole ~= today then return end
    used[item.key] = math.max(0, quota(item.key) + sign * item.cost)
  end
  changed[item.key] = true
end

local function int(number) return string.format('%.0f', number) end

local function write()
  for key in pairs(changed) do
    if used[key] then
      redis.call('SET', KEYS[key + 1], today .. ':' .. int(used[key]), 'EX', 172800)
    elseif full_in[key] == 0 then
      redis.call('DEL', KEYS[key + 1])
    else
      local whole, fraction = math.modf(full_in[key])
      local full_at = int(now + whole) .. string.format('.%06d', fraction * 1000000)
      redis.call('SET', KEYS[key + 1], full_at, 'PX', math.ceil(whole / 1000) + 1)
    end
  end
end

local at = 3
local function next_request()
  local items = {part = string.sub(ARGV[at], 1, 1) == '+'}
  for i = 1, tonumber(ARGV[at]) do
    local place = at + 1 + (i - 1) * 5
    items[i] = {
      key = tonumber(ARGV[place]), kind = ARGV[place + 1], cost = tonumber(ARGV[place + 2]),
      unit = tonumber(ARGV[place + 3]), whole = tonumber(ARGV[place + 4]),
    }
  end
  at = at + 1 + #items * 5
  return items
end

redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - LIVES)
redis.call('PEXPIRE', KEYS[1], LIVES / 1000)

-- Of each request: the item that does not fit (0: all do), how long until that one would; and of the first item, if it
-- is a bucket, the time until it is full again.
local answers = {redis.call('ZCARD', KEYS[1]), today}
local head = 0 -- how long the last whole request has to wait
while at <= #ARGV do
  local items = next_request()
  local failing, longest = 0, 0
  if items.part and head > 0 then failing, longest = 1, head end
  if ARGV[1] == 'take' then
    for i, item in ipairs(items) do
      local waits = wait(item)
      if waits and waits > longest then failing, longest = i, waits end
    end
  end
  if not items.part then head = longest end
  if failing == 0 then
    for _, item in ipairs(items) do take(item, ARGV[1] == 'take' and 1 or -1) end
  end
  local first = items[1] and items[1].kind == 'b' and bucket(items[1].key) or 0
  for _, number in ipairs({failing, math.ceil(longest), math.ceil(first)}) do answers[#answers + 1] = number end
end
write()
return answers
