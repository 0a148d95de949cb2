//! Scripts in Lua: what the server does in one step.
//!
//! One script ends a login: its session, its family, and the entry in the log. A server may execute
//! a script long after its sender has given up. A script that could then do harm has a deadline
//! (`is_late`) or a premise; the others do no harm whenever they are executed. `SECURITY.md` says
//! which is which, and why ("Commands that arrive late").

use std::sync::LazyLock;

use redis::Script;

/// The time by which dropped data must have ended, by the clock that is behind: a gateway whose
/// clock is wrong must not drop data that is live for the others.
macro_rules! spent_at {
    () => {
        r"
local function spent_at(now, margin)
  return string.format('%.0f', math.min(tonumber(now), tonumber(redis.call('TIME')[1])) - margin)
end
"
    };
}

/// Whether a deadline has passed (milliseconds since 1970, or empty for none): by then the sender
/// has reported, or will report, that nothing was done. And the answer in that case.
macro_rules! is_late {
    () => {
        r"
local function is_late(deadline_ms)
  local now = redis.call('TIME')
  local now_ms = tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000
  return deadline_ms ~= '' and now_ms > tonumber(deadline_ms)
end

local function late()
  return redis.error_reply('LATE nobody waits for this any more')
end
"
    };
}

/// The functions that scripts about the log share: how many records were ever appended, which the
/// last id of the stream says even when entries are gone; [`spent_at`]; and the record at a
/// position, false if there is none.
macro_rules! with_log {
    ($($script:tt)*) => {
        concat!(
            r"
local function head(log)
  if redis.call('EXISTS', log) == 0 then
    return 0
  end
  local info = redis.call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return tonumber(string.match(info[i + 1], '^%d+'))
    end
  end
  error('XINFO STREAM does not tell the last id')
end

local function record_at(log, sequence)
  local id = string.format('%.0f-0', sequence)
  local found = redis.call('XRANGE', log, id, id)
  if found[1] then
    local fields = found[1][2]
    for i = 1, #fields, 2 do
      if fields[i] == 'record' then
        return fields[i + 1]
      end
    end
  end
  return false
end
",
            spent_at!(),
            $($script)*
        )
    };
}

/// Removes an id from all sets; returns whether it was among the sessions.
macro_rules! forget {
    () => {
        r"
local function forget(sessions, due, of_subject, id, subject)
  redis.call('ZREM', of_subject, id)
  redis.call('ZREM', due, id .. subject)
  return redis.call('ZREM', sessions, id)
end
"
    };
}

/// Functions that delete a session, or the sessions of a subject that began by some time, with
/// their families. `at` names the keys of the sessions, of the due sessions and of the sessions of
/// the subject, and the prefixes of the keys of sessions and of families.
macro_rules! end_sessions {
    () => {
        r"
local function end_session(at, id, subject)
  redis.call('DEL', at.session .. id, at.family .. id)
  forget(at.sessions, at.due, at.of_subject, id, subject)
end

local function end_until(at, subject, cut_off)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', at.of_subject, '-inf', cut_off)) do
    end_session(at, id, subject)
  end
end
"
    };
}

#[macro_use]
pub(super) mod account;
pub(super) mod attempts;
pub(super) mod completeness;
pub(super) mod families;
pub(super) mod keyring;
pub(super) mod one_time;
pub(super) mod sessions;

/// Appends a record to the log, puts it into the snapshot, and ends sessions.
///
/// Keys: the log, the snapshot, the sessions, the due sessions, the sessions of the subject, the
/// lifted ids. Arguments: the record, its expiry, how many live records there may be, the time, how
/// long after its end a record is kept; the digest of the subject, the prefixes of the keys of
/// sessions and of families; the session that ends, or empty; a time, or empty: the subject's
/// sessions that began by then end; the deadline (milliseconds since 1970, or empty); the record's
/// id if it can be lifted, or empty. Returns its sequence number, -1 if the snapshot is full, or -2
/// if it was lifted and must not end sessions any more.
pub(super) static APPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        forget!(),
        end_sessions!(),
        is_late!(),
        r"
if is_late(ARGV[11]) then
  return late()
end
if ARGV[12] ~= '' and redis.call('ZSCORE', KEYS[6], ARGV[12]) then
  return -2
end
local at = {
  sessions = KEYS[3], due = KEYS[4], of_subject = KEYS[5], session = ARGV[7], family = ARGV[8],
}
local spent = redis.call('ZCOUNT', KEYS[2], '-inf', spent_at(ARGV[4], ARGV[5]))
if spent > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, math.min(spent, 16) - 1)
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  return -1
end
local sequence = head(KEYS[1]) + 1
local id = string.format('%.0f-0', sequence)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', '100000', id, 'record', ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
if ARGV[9] ~= '' then
  end_session(at, ARGV[9], ARGV[6])
end
if ARGV[10] ~= '' then
  end_until(at, ARGV[6], ARGV[10])
end
return sequence
"
    ))
});

/// Appends a lift to the log, and replaces the lifted records in the snapshot with it.
///
/// Keys: the log, the snapshot, the lifted ids. Arguments: the lift, its expiry, the deadline (or
/// empty), whether one of its records must be live; the time, how long after its end a record is
/// kept; the number of ids that follow; the ids; the records of the snapshot with these ids.
/// Returns the lift's sequence number and 1; if it was carried out before, how many records were
/// ever appended, and 0; -1 if none of its records is live and one must be.
pub(super) static LIFT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        is_late!(),
        r"
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return {head(KEYS[1]), 0}
end
if is_late(ARGV[3]) then
  return late()
end
local ids = tonumber(ARGV[7])
local lifted = 0
for i = 8 + ids, #ARGV do
  lifted = lifted + redis.call('ZREM', KEYS[2], ARGV[i])
end
if lifted == 0 and ARGV[4] == '1' then
  return {-1, 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', spent_at(ARGV[5], ARGV[6]))
for i = 8, 7 + ids do
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[i])
end
local sequence = head(KEYS[1]) + 1
redis.call('XADD', KEYS[1], 'MAXLEN', '~', '100000', string.format('%.0f-0', sequence), 'record', ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return {sequence, 1}
"
    ))
});

/// The record at a position of the log.
///
/// Key: the log. Argument: a sequence number, or empty for the last. Returns how many records were
/// ever appended, and the record at the position, if it is there.
pub(super) static PLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        r"
local last = head(KEYS[1])
return {last, record_at(KEYS[1], tonumber(ARGV[1]) or last)}
"
    ))
});

/// Whether the last record of the log is in the snapshot, as it must be unless it is spent, and
/// whether another record is, which was the last one earlier.
///
/// Keys: the log, the snapshot. Argument: the other record. Returns the last record, whether it is
/// in the snapshot, and whether the other one is.
pub(super) static LAST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        r"
local record = record_at(KEYS[1], head(KEYS[1]))
local function is_there(one)
  return one and redis.call('ZSCORE', KEYS[2], one) and 1 or 0
end
return {record, is_there(record), is_there(ARGV[1])}
"
    ))
});

/// Removes some of the spent records from the snapshot. Not all at once: a long script stops the
/// server for all clients.
///
/// Key: the snapshot. Arguments: the time, how long after its end a record is kept, how many to
/// remove at most. Returns how many were removed.
pub(super) static PRUNE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        r"
local spent = redis.call('ZCOUNT', KEYS[1], '-inf', spent_at(ARGV[1], ARGV[2]))
spent = math.min(spent, tonumber(ARGV[3]))
if spent > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, spent - 1)
end
return spent
"
    ))
});

/// Stores a gateway's announcement with the time of the server, because the clocks of gateways may
/// differ. If its previous announcement is gone, or there is a log and no fleet, nothing is
/// written: the server lost announcements, or more than that, and the gateway says which when it
/// asks again. The field `lost` says since when such a loss matters, and for how long. The field
/// `begun` is never removed, so that a fleet whose gateways were all silent for long does not look
/// lost.
///
/// Keys: the fleet, the log, `settled`. Arguments: the gateway's instance, its state in JSON, how
/// far it has applied the log, 1 if its previous announcement must be there, and, if that was found
/// gone, for how long an unknown gateway may matter, in milliseconds, else -1. Returns how many
/// records were ever appended, and the last of them, if it is there; whether the server has all its
/// data; whether the previous announcement is gone, and then the record at the gateway's position.
pub(super) static ANNOUNCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        r#"
local last = head(KEYS[2])
local is_settled = redis.call('HEXISTS', KEYS[3], 'done')
local lost_for = tonumber(ARGV[5])
if lost_for < 0 and is_settled == 1 then
  local is_gone = last > 0 and redis.call('EXISTS', KEYS[1]) == 0
  if not is_gone and ARGV[4] == '1' then
    local before = redis.call('HGET', KEYS[1], ARGV[1])
    is_gone = not before or before:find('"reminded":true', 1, true)
  end
  if is_gone then
    return {last, record_at(KEYS[2], last), is_settled, 1, record_at(KEYS[2], tonumber(ARGV[3]))}
  end
end
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if lost_for > 0 then
  local read, known = pcall(cjson.decode, redis.call('HGET', KEYS[1], 'lost') or '')
  local since = read and type(known) == 'table' and tonumber(known['told_ms'])
  local left = since and (tonumber(known['lost_for_ms']) or 0) - (tonumber(now_ms) - since) or 0
  if lost_for > left then
    redis.call('HSET', KEYS[1], 'lost', '{"told_ms":' .. now_ms .. ',"lost_for_ms":' .. ARGV[5] .. '}')
  end
end
redis.call('HSETNX', KEYS[1], 'begun', '{"told_ms":' .. now_ms .. '}')
redis.call('HSET', KEYS[1], ARGV[1], '{"told_ms":' .. now_ms .. ',"gateway":' .. ARGV[2] .. '}')
return {last, record_at(KEYS[2], last), is_settled, 0, false}
"#
    ))
});

/// Puts a gateway back that is missing from the roster.
///
/// Key: the fleet. Arguments: the gateway's instance, its state in JSON, how long it has been
/// silent, in milliseconds.
pub(super) static REMIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r#"
if redis.call('HEXISTS', KEYS[1], 'left:' .. ARGV[1]) == 1 then
  return 0
end
local time = redis.call('TIME')
local told_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[3])
return redis.call('HSETNX', KEYS[1], ARGV[1],
  '{"told_ms":' .. told_ms .. ',"reminded":true,"gateway":' .. ARGV[2] .. '}')
"#,
    )
});

/// Removes a gateway from the roster, and records that it left. If its announcement must be there
/// and is not, also records that the server lost announcements.
///
/// Key: the fleet. Arguments: the gateway's instance, the same in JSON, and for how long an unknown
/// gateway may matter after such a loss, in milliseconds, or 0.
pub(super) static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r#"
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 and ARGV[3] ~= '0' then
  redis.call('HSET', KEYS[1], 'lost', '{"told_ms":' .. now_ms .. ',"lost_for_ms":' .. ARGV[3] .. '}')
end
redis.call('HSET', KEYS[1], 'left:' .. ARGV[1], '{"told_ms":' .. now_ms .. ',"left":' .. ARGV[2] .. '}')
return 1
"#,
    )
});

/// The gateways that follow the log. Removes those that have been silent for too long.
///
/// Keys: the log, the fleet, the snapshot. Argument: how long that is at least, in milliseconds.
/// Returns the server's time in milliseconds, how many records were ever appended, how many are
/// kept, and for each gateway its announcement and the record at its position.
pub(super) static ROSTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGETALL', KEYS[2])
local gateways = {}
for i = 1, #known, 2 do
  local read, gateway = pcall(cjson.decode, known[i + 1])
  local since = read and type(gateway) == 'table' and tonumber(gateway['told_ms'])
  local counted = tonumber(ARGV[1])
  if since and type(gateway['gateway']) == 'table' then
    counted = math.max(counted, tonumber(gateway['gateway']['counted_for_ms']) or 0)
  end
  if since and known[i] ~= 'begun' and now - since > counted then
    redis.call('HDEL', KEYS[2], known[i])
  else
    local state = since and gateway['gateway']
    local applied = type(state) == 'table' and tonumber(state['applied']) or false
    gateways[#gateways + 1] = known[i + 1]
    gateways[#gateways + 1] = applied and record_at(KEYS[1], applied)
  end
end
return {now, head(KEYS[1]), redis.call('ZCARD', KEYS[3]), gateways}
"
    ))
});
