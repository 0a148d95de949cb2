//! What the server does about families of refresh tokens in one step.
//!
//! A family is a hash: `record` is what it is, as JSON; `current` the place and digest of the one good token;
//! `used` when a token was last used, in seconds. Once a token was exchanged: `previous`, its
//! digest; `rotated_ms`, when that was; `sealed`, what it was exchanged for. `dead` is there or not.

use std::sync::LazyLock;

use redis::Script;

/// Has a family expire after it could last be used, by the clock that is behind: the server's may
/// be ahead of that of the gateway that used it.
macro_rules! keep {
    () => {
        r"
local function keep(family, used, ends, idle, margin, latest)
  local rests_until = math.min(ends, math.max(used, tonumber(redis.call('TIME')[1])) + idle)
  local expires = math.max(1, math.min(rests_until + margin, tonumber(latest)))
  redis.call('EXPIREAT', family, string.format('%.0f', expires))
end
"
    };
}

/// Writes a family down, unless it is there, or its session is not.
///
/// Keys: the family, the record of its session. Arguments: the record, the digest of the first token, when it was made, when
/// the family ends, how long it may rest, how long after that it is kept, when everything expires.
/// Returns whether its session is there.
pub(crate) static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        keep!(),
        r"
local family, used = KEYS[1], ARGV[3]
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if redis.call('EXISTS', family) == 0 then
  redis.call('HSET', family, 'record', ARGV[1], 'current', ARGV[2], 'used', used)
  keep(family, tonumber(used), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7])
end
return 1
"
    ))
});

/// Exchanges a token. The outcomes are those of
/// [`FamilyStore::rotate`](crate::store::family::FamilyStore::rotate), in its order.
///
/// Whoever asks twice, because the answer was lost, is told the same again, whatever the grace.
/// A grace is counted by the server's clock, and as much if that was set back: a fail-over may lead
/// to a server that is a little behind.
///
/// Keys: the family, the record of its session, the sessions. Arguments: the digest that is
/// presented, the digest of the successor, the successor, the grace in milliseconds, the time, the
/// version of records that is known, the id, how long after its end a family is kept, when
/// everything expires. Returns a word, and what belongs to it: to `replayed` what the token was
/// exchanged for, to `unreadable` the record.
pub(crate) static ROTATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        keep!(),
        r"
local family, session, sessions = KEYS[1], KEYS[2], KEYS[3]
local presented, successor, used_at = ARGV[1], ARGV[2], tonumber(ARGV[5])
local held = redis.call(
  'HMGET', family, 'record', 'current', 'used', 'previous', 'rotated_ms', 'sealed', 'dead')
local record, current, used = held[1], held[2], tonumber(held[3])
if not (record or current) or redis.call('EXISTS', session) == 0 then
  return {'absent', false}
end

local read, terms = pcall(cjson.decode, record or '')
local version = read and type(terms) == 'table' and tonumber(terms['version'])
if not version or version > tonumber(ARGV[6]) or not current or not used then
  return {'unreadable', record}
end
if held[7] then
  return {'reused', false}
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ends, idle = tonumber(terms['ends']) or 0, tonumber(terms['idle_s']) or 0
if math.min(used_at, tonumber(time[1])) >= math.min(ends, used + idle) then
  return {'expired', false}
end

-- One that comes after the current was given out, and the server has lost that.
local function place(token)
  return tonumber(string.match(token, '^%d+')) or 0
end

if presented == current or place(presented) > place(current) then
  used = math.max(used, used_at)
  redis.call('HSET', family,
    'current', successor, 'used', string.format('%.0f', used),
    'previous', presented, 'rotated_ms', string.format('%.0f', now_ms), 'sealed', ARGV[3])
  redis.call('ZADD', sessions, 'XX', 'GT', ARGV[5], ARGV[7])
  keep(family, used, ends, idle, ARGV[8], ARGV[9])
  return {'rotated', false}
end
if presented == held[4] then
  if successor == current then
    return {'rotated', false}
  end
  local rotated_ms = tonumber(held[5])
  if rotated_ms and math.abs(now_ms - rotated_ms) < tonumber(ARGV[4]) then
    return {'replayed', held[6]}
  end
end
redis.call('HSET', family, 'dead', '1')
redis.call('HDEL', family, 'previous', 'rotated_ms', 'sealed')
return {'reused', false}
"
    ))
});

/// Notes that something was used that may be used once.
///
/// Key: its name. Arguments: a number that tells this use from any other, until when it is to be
/// remembered, the time, how long after that it is remembered all the same, when everything
/// expires. Returns whether this is its first use; asked twice, it is so twice.
pub(crate) static SPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
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
",
    )
});
