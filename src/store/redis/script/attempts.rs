//! Scripts about attempts to log in.

use std::sync::LazyLock;

use redis::Script;

/// Counts an attempt against all accounts, or against none if one has to wait. The wait is computed
/// as in [`AttemptAccount::delay_s`](crate::store::attempts::AttemptAccount::delay_s).
///
/// Uses the server's clock. If that was set back, the last attempt counts as made just now.
/// Otherwise clients would have to wait until the clock has caught up.
///
/// Keys: the accounts. Arguments: for each account, how many attempts in how many seconds, and
/// whether each attempt makes the next one wait longer; the deadline (milliseconds since 1970, or
/// empty): an attempt that was given up must not lock a user out. Returns 0, or the seconds until
/// the next attempt.
pub(crate) static ATTEMPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        is_late!(),
        r"
if is_late(ARGV[3 * #KEYS + 1]) then
  return late()
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
local wait = 0
local counts = {}
for i, key in ipairs(KEYS) do
  local attempts_max, span = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local held = redis.call('HMGET', key, 'made', 'last_ms')
  local made, last = tonumber(held[1]) or 0, tonumber(held[2])
  if last and last > now then
    last = now
    redis.call('HSET', key, 'last_ms', now_text)
    redis.call('EXPIRE', key, span)
  end
  if not last or now - last >= span * 1000 then
    made = 0
  else
    local left = math.max(attempts_max - made, 0)
    local delay = span
    if left > 0 and ARGV[3 * i] ~= '1' then
      delay = 0
    elseif left > 0 then
      delay = math.floor(span / 2 ^ (left + 1))
    end
    wait = math.max(wait, last + delay * 1000 - now)
  end
  counts[i] = made + 1
end
if wait > 0 then
  return math.ceil(wait / 1000)
end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 'made', string.format('%.0f', counts[i]), 'last_ms', now_text)
  redis.call('EXPIRE', key, ARGV[3 * i - 1])
end
return 0
"
    ))
});

/// Forgets all attempts against some accounts, and one attempt against each of the others.
///
/// Keys: the accounts whose attempts are all forgotten, then the others. Arguments: the number of
/// the former; the deadline (milliseconds since 1970, or empty): later attempts must not be
/// forgotten.
pub(crate) static ABSOLVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        is_late!(),
        r"
if is_late(ARGV[2]) then
  return late()
end
for i, key in ipairs(KEYS) do
  if i <= tonumber(ARGV[1]) or (tonumber(redis.call('HGET', key, 'made')) or 0) < 2 then
    redis.call('DEL', key)
  else
    redis.call('HINCRBY', key, 'made', -1)
  end
end
return 1
"
    ))
});
