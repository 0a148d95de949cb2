//! The script about one-time values.

use std::sync::LazyLock;

use redis::Script;

/// Records the use of a one-time value.
///
/// Key: its name. Arguments: a number that tells this use from any other, until when it must be
/// remembered, the time, how long after that it is kept all the same, when everything expires; the
/// deadline (milliseconds since 1970, or empty): a client that was refused must be able to use the
/// value later. Returns whether this is the first use. Sent twice, it gives the same answer twice.
pub(crate) static SPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        is_late!(),
        r"
if is_late(ARGV[6]) then
  return late()
end
local time = tonumber(redis.call('TIME')[1])
local left = math.max(0, tonumber(ARGV[2]) - tonumber(ARGV[3]))
local expires = math.max(tonumber(ARGV[2]), time + left) + tonumber(ARGV[4])
expires = string.format('%.0f', math.min(expires, tonumber(ARGV[5])))
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EXAT', expires) then
  return 1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 1
end
return 0
"
    ))
});
