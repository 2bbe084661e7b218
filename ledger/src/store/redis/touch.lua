-- The holder of a lease lives: it is not given up before its patience has passed again.
local key, id, patience = KEYS[1], ARGV[1], tonumber(ARGV[2])
if redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, 'v') == '1'
  and redis.call('HEXISTS', key, 'l' .. id) == 1 then
  local clock = redis.call('TIME')
  redis.call('HSET', key, 'e' .. id, string.format('%.0f', clock[1] * 1000000 + clock[2] + patience))
  redis.call('PEXPIRE', key, string.format('%.0f', patience / 1000 + 120000))
end
return 1
