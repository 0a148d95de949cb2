//! Scripts that settle whether the server has all the data that it had.

use std::sync::LazyLock;

use redis::Script;

/// Whether a server has all the data that any gateway knows it had, or the gateways that might know
/// more were waited for. The first gateway that finds that another server wrote the data starts the
/// wait.
///
/// `settled` is a hash: `server`, the server that wrote the data; `done`, if the server has all its
/// data; else `since_ms`, the start of the wait, `back:<instance>` for each gateway that knows no
/// more than the server, and `witness` if one of these has followed an earlier server.
///
/// Keys: `settled`, the fleet. Arguments: the server, or empty if its identity is hidden; the
/// gateway that asks, or empty; whether records were lost; whether that gateway knows `nothing`,
/// `more` or `no more`; how long to wait, and how long a silent gateway counts at least, in
/// milliseconds. Returns whether the server has all its data.
pub(in crate::store::redis) static ASK_COMPLETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local settled, gateways = KEYS[1], KEYS[2]
local server, instance, has_lost, knows = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', settled, 'server', 'since_ms', 'done')
local since, is_done = tonumber(held[2]), held[3]
local is_same = held[1] and (server == '' or held[1] == server)
if not is_same or not (since or is_done) or (is_done and has_lost) then
  redis.call('DEL', settled)
  redis.call('HSET', settled, 'server', server, 'since_ms', string.format('%.0f', now))
  since, is_done = now, false
end
if is_done then
  return 1
end
if instance ~= '' and knows ~= 'more' then
  redis.call('HSET', settled, 'back:' .. instance, '1')
end
if knows == 'no more' then
  redis.call('HSET', settled, 'witness', '1')
end

-- Whether a gateway may know more: it has not said that it does not, and may still be there.
local function is_awaited(id, text)
  if redis.call('HEXISTS', settled, 'back:' .. id) == 1 then
    return false
  end
  local is_read, message = pcall(cjson.decode, text)
  local told_ms = is_read and type(message) == 'table' and tonumber(message['told_ms'])
  if not told_ms or type(message['gateway']) ~= 'table' then
    return false
  end
  local counted = math.max(tonumber(ARGV[6]), tonumber(message['gateway']['counted_for_ms']) or 0)
  return now - told_ms <= counted
end

local is_over = math.abs(now - since) >= tonumber(ARGV[5])
if not is_over and redis.call('HEXISTS', settled, 'witness') == 1 then
  is_over = true
  local known = redis.call('HGETALL', gateways)
  for i = 1, #known, 2 do
    is_over = is_over and not is_awaited(known[i], known[i + 1])
  end
end
if not is_over then
  return 0
end
redis.call('DEL', settled)
redis.call('HSET', settled, 'server', server, 'done', '1')
return 1
",
    )
});
