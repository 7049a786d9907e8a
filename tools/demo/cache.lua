-- The shop's cache: what a customer saw is kept for a while. Most reads find it, and there is more than fits.
local now = redis.call('TIME')
math.randomseed(now[1] % 1000 * 1000000 + now[2])
for _ = 1, 5 do
    local key = 'orders:' .. math.floor(10000 * math.random() ^ 3)
    if not redis.call('GET', key) then
        redis.call('SET', key, string.rep('x', 2000), 'EX', math.random(5, 60))
    end
end
-- Now and then a mistake.
if math.random(100) == 1 then
    redis.call('SET', 'banner', 'sale')
    redis.pcall('LPUSH', 'banner', 'more')
end
