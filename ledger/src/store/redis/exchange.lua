-- One ask of one account of a rate: the transition of ledger/src/exchange.rs, by Redis's clock.
--
-- The account is a hash: v = version of this format, t = latest second that was reached (time never goes back behind it),
-- s<second> = booked in it, l<holder>:<number> = a lease "granted booked sequence finished closed",
-- e<holder>:<number> = when its holder counts as lost. Times are microseconds.
local key, me, holder = KEYS[1], ARGV[1], ARGV[2]
local sequence, limit, held = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local target, least, used = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]) -- used = nil: never booked
local last, rate, patience = ARGV[9] == '1', ARGV[10] == '1', tonumber(ARGV[11])
local SECOND, WINDOW, REMEMBERED, SHARE = 1000000, 60000000, 600000000, 4

-- What somebody else put here, or another version of this program, is not ours to understand.
local kind = redis.call('TYPE', key).ok
if kind ~= 'none' and (kind ~= 'hash' or redis.call('HGET', key, 'v') ~= '1') then
  redis.call('DEL', key)
end

local function text(number) return string.format('%.0f', number) end
local function outstanding(lease)
  if lease.closed or lease.granted <= lease.booked then return 0 end
  return lease.granted - lease.booked
end
local function write(id, lease, lost)
  local flags = (lease.finished and '1' or '0') .. ' ' .. (lease.closed and '1' or '0')
  redis.call('HSET', key, 'l' .. id,
    text(lease.granted) .. ' ' .. text(lease.booked) .. ' ' .. text(lease.sequence) .. ' ' .. flags, 'e' .. id, text(lost))
end

local fields = {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
local clock = redis.call('TIME')
local now = math.max(clock[1] * SECOND + clock[2], tonumber(fields.t or '0'))
local slot = math.floor(now / SECOND) * SECOND
local counted = slot - WINDOW

local spent, others, lost, longest = 0, 0, 0, now + 2 * WINDOW
local before = { granted = 0, booked = 0, sequence = 0, finished = false, closed = false }
local rivals, holders = {}, 1
for name, value in pairs(fields) do
  local what, id = string.sub(name, 1, 1), string.sub(name, 2)
  if what == 's' then
    if tonumber(id) < counted then redis.call('HDEL', key, name) else spent = spent + tonumber(value) end
  elseif what == 'l' then
    local granted, booked, number, finished, closed = string.match(value, '^(%S+) (%S+) (%S+) (%d) (%d)$')
    local lease = { granted = tonumber(granted), booked = tonumber(booked), sequence = tonumber(number),
      finished = finished == '1', closed = closed == '1' }
    local expires = tonumber(fields['e' .. id] or '0')
    if id == me then
      before = lease
    elseif expires < now and (lease.closed or lease.finished) then
      redis.call('HDEL', key, name, 'e' .. id)
    elseif expires < now then
      -- Its holder was not heard of: what it may have used is booked, and it gets nothing any more.
      if rate then lost = lost + outstanding(lease) end
      lease.closed = true
      write(id, lease, now + REMEMBERED)
    else
      longest = math.max(longest, expires)
      others = others + outstanding(lease)
      local rival = string.match(id, '^(.-):')
      if rival ~= holder and not lease.closed and not lease.finished and not rivals[rival] then
        rivals[rival] = true
        holders = holders + 1
      end
    end
  end
end
spent = spent + lost

local lease, book = before, 0
local over = last and before.sequence == 0
if sequence > before.sequence and not before.closed then
  lease = { granted = over and before.granted or math.max(before.granted, held), booked = before.booked,
    sequence = sequence, finished = last, closed = false }
  if used and not over then
    book = math.max(used - lease.booked, 0)
    lease.booked = math.max(lease.booked, used)
    spent = spent + book
  end
  if not over then lease.granted = math.max(lease.granted, lease.booked) end
  if target < lease.granted and not over then
    lease.granted = math.max(target, lease.booked)
  elseif not last then
    local free = limit - spent - others - outstanding(lease)
    local share = free / math.max(SHARE, holders + 1)
    share = share >= 0 and math.floor(share) or math.ceil(share)
    local needed = math.max(least - (lease.granted - held), 0)
    local raise = math.min(target - lease.granted, math.max(share, needed))
    if raise >= needed and raise <= free and raise > 0 then lease.granted = lease.granted + raise end
  end
  local expires = now + (last and WINDOW or patience)
  longest = math.max(longest, expires)
  write(me, lease, expires)
end

if book + lost > 0 then
  redis.call('HSET', key, 's' .. text(slot), text(tonumber(fields['s' .. text(slot)] or '0') + book + lost))
end
redis.call('HSET', key, 'v', '1', 't', text(slot))
redis.call('PEXPIRE', key, text((longest - now) / 1000 + 1))
local left = limit - spent - others - outstanding(lease)
return { lease.granted, spent, others, left, before.closed and 1 or 0, now }
