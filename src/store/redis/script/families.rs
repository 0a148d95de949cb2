//! Scripts about families of refresh tokens.
//!
//! A family is a hash: `record` describes it, as JSON; `current` is the place and digest of the one
//! good token; `used` is when a token was last used, in seconds. After the first exchange:
//! `previous`, the exchanged token's digest; `rotated_ms`, the time of the exchange; `sealed`, the
//! sealed successor; `earlier`, the same for the exchanges before that one, as far back as a grace
//! may reach, the earliest first, as MessagePack. `shared` is the current token if it was given out
//! more than once; `was_shared` exists if `previous` was. `dead` exists if the family is dead.

use std::sync::LazyLock;

use redis::Script;

/// Has a family expire after the last time that it could be used, by the clock that is behind: the
/// server's clock may be ahead of the clock of the gateway that used it.
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

/// Stores a family, unless it exists, or its session does not.
///
/// Keys: the family, the record of its session. Arguments: the record, the digest of the first
/// token, when it was made, when the family ends, its idle limit, how long after that it is kept,
/// when everything expires. Returns whether its session exists.
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

/// The exchanges that a family remembers: for each the token, the time of the exchange in
/// milliseconds, and the sealed successor.
macro_rules! exchanges {
    () => {
        r"
local function place(token)
  return tonumber(string.match(token, '^%d+')) or 0
end

-- Those before the last one.
local function read_exchanges(packed)
  local is_read, read = pcall(cmsgpack.unpack, packed or '')
  return is_read and type(read) == 'table' and read or {}
end

-- Keeps what was exchanged less than so long ago, and one before that: what is at its place or below came earlier.
-- Of too many, those are dropped whose neighbours are nearest; what came before them does not lead on any more.
local function thin_out(exchanges, now_ms, kept_ms, at_most)
  while exchanges[2] and math.abs(now_ms - exchanges[2][2]) >= kept_ms do
    table.remove(exchanges, 1)
  end
  if exchanges[1] and math.abs(now_ms - exchanges[1][2]) >= kept_ms then
    exchanges[1][3] = ''
  end
  while #exchanges > at_most do
    local dropped, least = 2, math.huge
    for i = 2, #exchanges - 1 do
      local gap = exchanges[i + 1][2] - exchanges[i - 1][2]
      if gap < least then
        dropped, least = i, gap
      end
    end
    table.remove(exchanges, dropped)
    exchanges[dropped - 1][3] = ''
  end
end

-- The number of the exchange of a token, if it is known, and when that was at the latest, if it was.
local function find_exchange(exchanges, token)
  for i, exchange in ipairs(exchanges) do
    if exchange[1] == token then
      return i, exchange[2]
    end
  end
  for _, exchange in ipairs(exchanges) do
    if place(exchange[1]) == place(token) then
      return nil, nil
    end
    if place(exchange[1]) > place(token) then
      return nil, exchange[2]
    end
  end
  return nil, nil
end

-- What leads from the token of an exchange to the current one; nothing if that is not known.
local function way_from(exchanges, number)
  local way = {}
  for i = number or math.huge, #exchanges do
    if exchanges[i][3] == '' then
      return nil
    end
    way[#way + 1] = exchanges[i][3]
  end
  return way[1] and way
end
"
    };
}

/// Exchanges a token. The outcomes are those of
/// [`FamilyStore::rotate`](crate::store::family::FamilyStore::rotate), in its order.
///
/// A gateway that asks twice, because the answer was lost, gets the same answer again, whatever the
/// grace. The grace is measured by the server's clock, and has the same length if that was set
/// back: a fail-over may lead to a server that is a little behind.
///
/// Keys: the family, the record of its session, the sessions. Arguments: the presented digest, the
/// successor's digest, the sealed successor, the grace in milliseconds, the time, the known version
/// of records, the id, how long after its end a family is kept, when everything expires; the
/// current token as it was read, when that was, how long the token had waited by then, how old the
/// reading may be, for how long an unused successor is given out again (all in milliseconds), how
/// many earlier exchanges are remembered. If the token was not the current one when the family was
/// read, then the keys and arguments of `charge` for the end of the session follow. Returns a word,
/// a list and a number. The list holds, for `replayed`, the sealed successors up to the current
/// token, for `unreadable` the record, and for `ended` the records that were written. The number is
/// 0, except for `ended`: how many records were ever appended, or -1 if there was no room.
pub(crate) static ROTATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        charge!(),
        keep!(),
        exchanges!(),
        r"
local family, session, sessions = KEYS[1], KEYS[2], KEYS[3]
local presented, successor, used_at = ARGV[1], ARGV[2], tonumber(ARGV[5])
local grace_ms, known_current = tonumber(ARGV[4]), ARGV[10]
local read_ms, waited_ms, within_ms = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local unused_ms, earlier_max = tonumber(ARGV[14]), tonumber(ARGV[15])

-- The family is dead from now on. Where it is known how its login ends, that ends with it: whoever finds a dead
-- one has found what somebody has not brought to its end.
local function reused()
  if not ARGV[16] then
    redis.call('HSET', family, 'dead', '1')
    redis.call('HDEL', family,
      'previous', 'rotated_ms', 'sealed', 'earlier', 'shared', 'was_shared')
    return {'reused', {}, 0}
  end
  local charge_keys, charge_args = {unpack(KEYS, 4)}, {unpack(ARGV, 16)}
  local sequence, written = unpack(charge(charge_keys, charge_args))
  if sequence < 0 then
    -- It ends although there is no room.
    end_session(places(charge_keys, charge_args), ARGV[7], charge_args[6])
  end
  return {'ended', written, sequence}
end

local held = redis.call('HMGET', family, 'record', 'current', 'used', 'previous', 'rotated_ms',
  'sealed', 'dead', 'earlier', 'shared', 'was_shared')
local record, current, used = held[1], held[2], tonumber(held[3])
if not (record or current) or redis.call('EXISTS', session) == 0 then
  return {'absent', {}, 0}
end

local read, terms = pcall(cjson.decode, record or '')
local version = read and type(terms) == 'table' and tonumber(terms['version'])
if not version or version > tonumber(ARGV[6]) or not current or not used then
  return {'unreadable', {record or ''}, 0}
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if math.abs(now_ms - read_ms) >= within_ms then
  return {'too late', {}, 0}
end
if held[7] then
  return reused()
end

local ends, idle = tonumber(terms['ends']) or 0, tonumber(terms['idle_s']) or 0
if math.min(used_at, tonumber(time[1])) >= math.min(ends, used + idle) then
  return {'expired', {}, 0}
end

local exchanges = read_exchanges(held[8])
if held[4] and tonumber(held[5]) then
  exchanges[#exchanges + 1] = {held[4], tonumber(held[5]), held[6] or ''}
end

-- One that comes after the current was given out, and the server has lost that.
if presented == current or place(presented) > place(current) then
  used = math.max(used, used_at)
  redis.call('HSET', family,
    'current', successor, 'used', string.format('%.0f', used),
    'previous', presented, 'rotated_ms', string.format('%.0f', now_ms), 'sealed', ARGV[3])
  thin_out(exchanges, now_ms, grace_ms + within_ms, earlier_max)
  if exchanges[1] then
    redis.call('HSET', family, 'earlier', cmsgpack.pack(exchanges))
  end
  if held[9] == presented then
    redis.call('HSET', family, 'was_shared', '1')
  elseif held[10] then
    redis.call('HDEL', family, 'was_shared')
  end
  redis.call('HDEL', family, 'shared')
  redis.call('ZADD', sessions, 'XX', 'GT', ARGV[5], ARGV[7])
  keep(family, used, ends, idle, ARGV[8], ARGV[9])
  return {'rotated', {}, 0}
end

local number, exchanged_ms = find_exchange(exchanges, presented)
local is_last = number == #exchanges
if is_last and successor == current then
  return {'rotated', {}, 0}
end
-- What was exchanged since the sender looked was presented before.
local was_good = presented == known_current or place(presented) > place(known_current)
local age_ms = exchanged_ms and math.max(0, math.abs(read_ms - exchanged_ms) - waited_ms)
if was_good then
  age_ms = age_ms and 0
end
if age_ms and grace_ms > 0 then
  local is_within = age_ms < grace_ms
  if is_within or (is_last and not held[10] and age_ms < unused_ms) then
    local way = way_from(exchanges, number)
    if way then
      if held[9] ~= current then
        redis.call('HSET', family, 'shared', current)
      end
      return {'replayed', way, 0}
    end
    return {'changed', {}, 0}
  end
end
-- The same where only what it was exchanged for was used since: until then it led to that.
local following = number and exchanges[number + 1]
local was_unused = not is_last and age_ms and age_ms < unused_ms
  and (following and following[1] == known_current
    or place(known_current) == place(presented) + 1)
if was_good or was_unused then
  return {'changed', {}, 0}
end
return reused()
"
    ))
});
