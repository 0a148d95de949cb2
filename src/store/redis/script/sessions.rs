//! Scripts about sessions.
//!
//! A member of the set of due sessions is an id and its subject's digest, 43 characters each: an id
//! whose record is gone does not reveal its subject.

use std::sync::LazyLock;

use redis::Script;

/// Stores a session, unless it exists, and makes room for it. It forgets those of the subject's
/// sessions that are gone. If there are still too many, it deletes the oldest with their families,
/// and writes their ends to the log. It never deletes the new session, whatever the clock of
/// another gateway says. Without a limit, it deletes none. Done twice, it has the effect of once.
/// If another record has the id, nothing is done.
///
/// Keys: the record, the sessions, the due sessions, the sessions of the subject; those of
/// `charge`. Arguments: the id, the record, when it expires, the time of the login, when it was
/// last used, when it is due, the digest of the subject, how many sessions the subject may have (a
/// number, or empty), the prefixes of the keys of records and of families, and the deadline
/// (milliseconds since 1970, or empty), after which nothing is done and the answer is an error; a
/// number for the marks of the records that are written. Then the arguments of `charge`, or none if
/// ends are not to be written: its record has no session, time 0 and mark 0, and its cut-off has
/// mark 0, too. Returns the id, and a list of the deleted sessions, each with the time of its login
/// and the result of `charge`.
pub(crate) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        charge!(),
        is_late!(),
        r#"
local record, sessions, due, of_subject = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, expires, subject = ARGV[1], tonumber(ARGV[3]), ARGV[7]
local there = redis.call('GET', record)
if there and there ~= ARGV[2] then
  return {id, {}}
end
if not there then
  if is_late(ARGV[11]) then
    return late()
  end
  redis.call('SET', record, ARGV[2], 'EXAT', ARGV[3])
end
redis.call('ZADD', sessions, 'GT', ARGV[5], id)
redis.call('ZADD', due, 'NX', ARGV[6], id .. subject)
redis.call('ZADD', of_subject, ARGV[4], id)
local left = redis.call('TTL', of_subject)
if left < 0 or redis.call('TIME')[1] + left < expires then
  redis.call('EXPIREAT', of_subject, ARGV[3])
end

local displaced = {}
local sessions_max = tonumber(ARGV[8])
local excess = sessions_max and redis.call('ZCARD', of_subject) - sessions_max or 0
if excess > 0 then
  local there = {}
  -- Never many more than there may be.
  for _, member in ipairs(redis.call('ZRANGE', of_subject, 0, 999)) do
    if redis.call('EXISTS', ARGV[9] .. member) == 1 then
      there[#there + 1] = member
    else
      forget(sessions, due, of_subject, member, subject)
      excess = excess - 1
    end
  end
  for _, member in ipairs(there) do
    if excess > 0 and member ~= id then
      displaced[#displaced + 1] = {member, redis.call('ZSCORE', of_subject, member), -1, {}}
      redis.call('DEL', ARGV[9] .. member, ARGV[10] .. member)
      forget(sessions, due, of_subject, member, subject)
      excess = excess - 1
    end
  end
end

local charge_keys, charge_args = {unpack(KEYS, 5)}, {unpack(ARGV, 13)}
local mark = tonumber(ARGV[12])
-- What stands in quotes within a text has them escaped.
local function fill(text, blank, value)
  local from, to = string.find(text, blank, 1, true)
  return string.sub(text, 1, from - 1) .. value .. string.sub(text, to + 1)
end
local function marked(text)
  mark = mark + 1
  return fill(text, '"mark":0', string.format('"mark":%.0f', mark))
end
if charge_args[1] then
  local blank, after = charge_args[15], charge_args[12]
  for _, one in ipairs(displaced) do
    local session, began = one[1], string.format('%.0f', one[2])
    local ended = fill(marked(blank), '"id":""', '"id":"' .. session .. '"')
    charge_args[15] = fill(ended, '"dated":0', '"dated":' .. began)
    charge_args[16], charge_args[18], charge_args[12] = began, session, marked(after)
    one[3], one[4] = unpack(charge(charge_keys, charge_args))
  end
end
return {id, displaced}
"#
    ))
});

/// Reads a session, in one answer that names the session. Absence has its own form in it, so that
/// `nil`, or the answer to another question, is not taken for absence.
///
/// Keys: the record, the sessions. Argument: the id. Returns the id, the record, and when it was
/// last used, without the values that do not exist.
pub(crate) static FIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
return {ARGV[1], redis.call('GET', KEYS[1]), redis.call('ZSCORE', KEYS[2], ARGV[1])}
",
    )
});

/// Deletes a session, and its family. If its subject is not known, pruning removes its remaining
/// entries in the sets later.
///
/// Keys: the record, the sessions, the due sessions, the sessions of the subject, the family.
/// Arguments: the id, the digest of the subject. Returns whether the session existed.
pub(crate) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        forget!(),
        r"
forget(KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2])
redis.call('DEL', KEYS[5])
return redis.call('DEL', KEYS[1])
"
    ))
});

/// The sessions of a subject. Forgets those that are gone.
///
/// Keys: the sessions of the subject, the sessions, the due sessions. Arguments: the digest of the
/// subject, the prefix of the keys of records. Returns the digest, and a list of the sessions, the
/// latest login first, each with its id, its record, and when it was last used.
pub(crate) static OF_SUBJECT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        forget!(),
        r"
local found = {}
-- Twice the API keys that there may be: two who look at the same time can make one too many.
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, 1999)) do
  local record = redis.call('GET', ARGV[2] .. id)
  if record then
    found[#found + 1] = {id, record, redis.call('ZSCORE', KEYS[2], id)}
  else
    forget(KEYS[2], KEYS[3], KEYS[1], id, ARGV[1])
  end
end
return {ARGV[1], found}
"
    ))
});

/// Looks at some of the due sessions, and drops those that ended a while ago. The others were used
/// since, and become due when they would now end. A session of a later version becomes due in a
/// day. Not all at once: a long script stops the server for all clients.
///
/// Keys: the due sessions, the sessions. Arguments: the time, how long after its end a session is
/// kept, how many to look at, the prefixes of the keys of records and of subjects, the known
/// version of records, the prefix of the keys of families. Returns how many were looked at, and how
/// many of them were dropped.
pub(crate) static PRUNE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        forget!(),
        spent_at!(),
        r"
local due, sessions = KEYS[1], KEYS[2]
local spent = tonumber(spent_at(ARGV[1], ARGV[2]))

local function rests_until(id, record)
  local read, session = pcall(cjson.decode, record)
  local version = read and type(session) == 'table' and tonumber(session['version'])
  if not version or version > tonumber(ARGV[6]) then
    return spent + 86400
  end
  local last_seen = redis.call('ZSCORE', sessions, id) or session['created']
  local idle_ends = (tonumber(last_seen) or 0) + (tonumber(session['idle_s']) or 0)
  return math.min(idle_ends, tonumber(session['ends']) or 0)
end

local members = redis.call(
  'ZRANGEBYSCORE', due, '-inf', string.format('%.0f', spent), 'LIMIT', 0, ARGV[3])
local dropped = 0
for _, member in ipairs(members) do
  local id, subject = string.sub(member, 1, 43), string.sub(member, 44)
  local key = ARGV[4] .. id
  local record = redis.call('GET', key)
  local next_look = record and rests_until(id, record)
  if next_look and next_look > spent then
    redis.call('ZADD', due, string.format('%.0f', next_look), member)
  else
    -- Its time may have come before ours. One that was deleted is in the sessions no more.
    local was_there = forget(sessions, due, ARGV[5] .. subject, id, subject)
    redis.call('DEL', key, ARGV[7] .. id)
    dropped = dropped + was_there
  end
end
return {#members, dropped}
"
    ))
});
