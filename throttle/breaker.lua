-- The gate of one provider: decisions.py in one round trip, with the server's own clock. KEYS: its hash.
-- ARGV: the figures of policy.Figures, the step's name, the step's fields. Whole microseconds throughout.
-- Returns granted, wait, probe, reason, breaker before (when changed), fresh pause, now, then the hash as pairs.
local names = {'slice', 'slices', 'sample', 'percent', 'run', 'busy_run', 'probe_every', 'check_after', 'heals',
  'longest_pause', 'interval', 'burst'}
local F = {}
for i, name in ipairs(names) do F[name] = tonumber(ARGV[i]) end
local step = ARGV[#names + 1]
local function text(i) return ARGV[#names + 1 + i] end
local function int(i) return tonumber(text(i)) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local S, stored, fresh = {}, redis.call('HGETALL', KEYS[1]), {}
for i = 1, #stored, 2 do S[stored[i]] = stored[i + 1] end
local before = S.breaker or 'closed'

local function str(name) return S[name] or '' end
local function num(name) return tonumber(S[name] or '0') end
local function set(name, value)
  if type(value) == 'number' then value = string.format('%.0f', value) end
  if S[name] ~= value then S[name] = value; fresh[name] = true end
end
local function breaker() return S.breaker or 'closed' end
local function clamp(name, most) if num(name) > most then set(name, most) end end

local function move(to, reason) set('breaker', to); set('reason', reason); set('since', now) end

local function forget() set('answers', ''); set('receipts', ''); set('run', 0); set('silent_run', 0) end

local function open(cause, reason)
  set('cause', cause); set('opened', now); set('healed', 0); set('probe_at', now + F.probe_every)
  forget(); move('open', reason)
end

local function heal()
  set('healed', num('healed') + 1)
  if num('healed') >= F.heals then
    forget(); move('closed', str('healed') .. ' probes in a row came through')
  elseif breaker() == 'open' then
    move('half_open', 'a probe came through')
  end
end

local function count(window, good, bad)
  local slot, line, all, all_bad, found = math.floor(now / F.slice), {}, 0, 0, false
  local function keep(n, g, b)
    line[#line + 1] = string.format('%.0f:%.0f:%.0f', n, g, b); all = all + g + b; all_bad = all_bad + b
  end
  for n, g, b in string.gmatch(str(window), '(%d+):(%d+):(%d+)') do
    n, g, b = tonumber(n), tonumber(g), tonumber(b)
    if n == slot then found = true; keep(n, g + good, b + bad) elseif n > slot - F.slices and n < slot then keep(n, g, b) end
  end
  if not found then keep(slot, good, bad) end
  set(window, table.concat(line, ','))
  return all, all_bad
end

local function too_many(all, bad) return all >= F.sample and bad * 100 >= F.percent * all end
local function too_long(run, all) return num(run) >= (all < F.sample and F.run or F.busy_run) end

local function take(wanted, reserve)
  if F.interval == 0 then return wanted, -1 end
  local full = F.burst * F.interval
  local tat = math.max(now, math.min(num('tat'), math.max(now, num('paused')) + full))
  local granted = math.max(0, math.min(wanted, math.floor((now + full - tat) / F.interval) - reserve))
  tat = tat + granted * F.interval
  set('tat', tat)
  return granted, granted < wanted and tat - (F.burst - reserve - 1) * F.interval - now or -1
end

local NORMAL, LOW, CHECK = 1, 2, 3

local function may_probe(rank)
  local lately = now - math.floor(F.probe_every * 3 / 2)
  if rank == NORMAL then return num('low_at') <= lately end
  if rank == CHECK then
    if breaker() == 'open' then lately = now - F.check_after end
    return num('low_at') <= lately and num('normal_at') <= lately
  end
  return rank == LOW
end

local function admit_probe(wanted, rank, reserve)
  if rank == LOW then set('low_at', now) end
  if rank == NORMAL then set('normal_at', now) end
  if num('probe_at') > now then return 0, num('probe_at') - now, 0, str('reason') end
  if not may_probe(rank) then return 0, F.probe_every, 0, str('reason') end
  local granted, wait = take(math.min(wanted, 1), reserve)
  if granted == 0 then return 0, wait, 0, 'rate' end
  set('probe_at', now + F.probe_every)
  return 1, wanted > 1 and F.probe_every or -1, 1, str('reason')
end

local steps = {}

function steps.admit()
  local wanted, rank, reserve = int(1), int(2), int(3)
  local switch = str('switch') ~= '' and str('switch') or text(4)
  if switch == 'disabled' then return 0, -1, 0, 'disabled' end
  if num('paused') > now then return 0, num('paused') - now, 0, 'paused by the vendor' end
  if breaker() ~= 'closed' then return admit_probe(wanted, rank, reserve) end
  if rank == CHECK then return 0, -1, 0, '' end
  local granted, wait = take(wanted, reserve)
  return granted, wait, 0, granted < wanted and 'rate' or ''
end

function steps.report()
  local good, bad, points, released, probe, last = int(1), int(2), int(3), int(4), int(5) == 1, text(6)
  if released > 0 then
    set('tat', num('tat') - released * F.interval)
    if probe then clamp('probe_at', now) end
  end
  if breaker() ~= 'closed' then
    if not probe then return end
    if bad > 0 then
      set('healed', 0)
      if breaker() == 'half_open' then move('open', 'a probe failed, last: ' .. last) end
    elseif good > 0 and str('cause') == 'answers' then
      heal()
    end
  elseif good > 0 or bad > 0 then
    local all, all_bad = count('answers', good, bad)
    set('run', good > 0 and 0 or num('run') + points)
    if too_many(all, all_bad) then
      open('answers', string.format('%.0f of %.0f calls failed, last: %s', all_bad, all, last))
    elseif too_long('run', all) then
      open('answers', 'no call in a row came through, last: ' .. last)
    end
  end
end

function steps.receipts()
  local usual, on_time, youngest, silent = int(1), int(2), int(3), int(4)
  if on_time > 0 then set('heard', now) end
  if breaker() ~= 'closed' then
    if on_time > 0 and str('cause') == 'receipts' and now - youngest >= num('opened') then heal() end
    return
  end
  if num('heard') == 0 or now - usual < num('since') then silent = 0 end
  if on_time == 0 and silent == 0 then return end
  local all, bad = count('receipts', on_time, silent)
  set('silent_run', on_time > 0 and 0 or num('silent_run') + 2 * silent)
  if too_many(all, bad) then
    open('receipts', string.format('no receipts: %.0f of %.0f accepted messages stayed silent', bad, all))
  elseif too_long('silent_run', all) then
    open('receipts', 'no receipts: no message in a row was reported in its usual time')
  end
end

function steps.pause()
  local was = num('paused')
  local til = math.max(was, now + math.min(int(1), F.longest_pause))
  set('paused', til)
  if F.interval > 0 then set('tat', til + F.burst * F.interval) end
  return 0, -1, 0, '', was <= now and til > now and 1 or 0
end

function steps.operate()
  set('switch', text(1)); set('switch_reason', text(2)); set('weight', text(3))
  if int(4) == 0 then return end
  set('paused', 0); set('healed', 0)
  if breaker() ~= 'closed' then forget(); move('closed', 'closed by an operator: ' .. text(2)) end
end

clamp('paused', now + F.longest_pause); clamp('probe_at', now + F.probe_every)
clamp('low_at', now); clamp('normal_at', now)
local granted, wait, probe, reason, begun = steps[step]()
local write = {}
for name in pairs(fresh) do write[#write + 1] = name; write[#write + 1] = S[name] end
if #write > 0 then redis.call('HSET', KEYS[1], unpack(write)) end
local reply = {granted or 0, wait or -1, probe or 0, reason or '', breaker() ~= before and before or '', begun or 0, now}
for name, value in pairs(S) do reply[#reply + 1] = name; reply[#reply + 1] = value end
return reply
