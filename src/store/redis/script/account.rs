//! Scripts about records of an account. They make the same decisions as
//! [`AccountEntries`](crate::store::account).

use std::sync::LazyLock;

use redis::Script;

/// The function `charge(keys, args)`: appends a record of an account, or a cut-off in its place,
/// and ends sessions. It needs the functions that scripts about the log share, and defines those
/// that end sessions.
///
/// Keys: the log, the snapshot, the sessions, the due sessions, the sessions of the subject, its
/// single entries (by their time), its cut-offs (by their kind).
///
/// Arguments: the time, how long after its end a record is kept, how many records there may be if
/// this is one more of the subject, and if it is its first; how many the subject may have; the
/// digest of the subject, the prefixes of the keys of sessions and of families; the kind of the
/// cut-off that is, or could be, written, its text before its time, between that and its expiry,
/// and after that; its time, and its expiry; the single record, or empty; its time, and its expiry;
/// the session that ends, or empty; when everything expires.
///
/// Returns how many records were ever appended, or -1 if there is no room; and the records that
/// were written, the single one before the cut-off. Without room, nothing was done.
macro_rules! charge {
    () => {
        concat!(
            forget!(),
            end_sessions!(),
            r"
local function text(number)
  return string.format('%.0f', number)
end

-- Where the sessions are that it ends.
local function places(keys, args)
  return {
    sessions = keys[3], due = keys[4], of_subject = keys[5], session = args[7], family = args[8],
  }
end

local function charge(keys, args)
  local log, live, ends, cuts = keys[1], keys[2], keys[6], keys[7]
  local at = places(keys, args)
  local more_max, first_max, single_max = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  local subject, kind = args[6], args[9]
  local single = args[15] ~= '' and {dated = tonumber(args[16]), expires = tonumber(args[17])}

  local spent = redis.call('ZCOUNT', live, '-inf', spent_at(args[1], args[2]))
  if spent > 0 then
    redis.call('ZREMRANGEBYRANK', live, 0, math.min(spent, 16) - 1)
  end

  -- What the subject has: the single entries, the earliest first, and the cut-off of each kind.
  local held = {}
  local members = redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    local expires = redis.call('ZSCORE', live, members[i])
    if expires then
      held[#held + 1] =
        {member = members[i], dated = tonumber(members[i + 1]), expires = tonumber(expires)}
    else
      redis.call('ZREM', ends, members[i])
    end
  end
  local function cut_of(name)
    local member = redis.call('HGET', cuts, name)
    local expires = member and redis.call('ZSCORE', live, member)
    if not expires then
      return false
    end
    local dated = tonumber(cjson.decode(member)['cut_off'])
    return {member = member, dated = dated, expires = tonumber(expires)}
  end
  local grants, everything = cut_of('grants'), cut_of('subject')
  local function one_if(there)
    return there and 1 or 0
  end
  local others = redis.call('ZCARD', live) - #held - one_if(grants) - one_if(everything)

  local function covers(cut, other)
    return cut and cut.dated >= other.dated and cut.expires >= other.expires
  end
  local function with(cut, other)
    if other then
      cut.dated = math.max(cut.dated, other.dated)
      cut.expires = math.max(cut.expires, other.expires)
    end
  end

  local cut = {dated = tonumber(args[13]), expires = tonumber(args[14])}
  local adds, merges, folded, replaced = false, false, 0, {}
  local function fold()
    for _, entry in ipairs(held) do
      if entry.dated <= cut.dated then
        folded = folded + 1
      end
    end
    for i = 1, folded do
      with(cut, held[i])
    end
  end

  if single then
    if covers(grants, single) or covers(everything, single) then
      -- Nothing is to be written.
    else
      others = others + one_if(everything)
      local allowed = math.min(math.max(more_max - others, 1), single_max)
      if #held + 1 + one_if(grants) <= allowed then
        if #held == 0 and not grants and others >= first_max then
          return {-1, {}}
        end
        adds = true
      else
        local order = {}
        local is_placed = false
        for _, entry in ipairs(held) do
          if not is_placed and entry.dated > single.dated then
            order[#order + 1] = single
            is_placed = true
          end
          order[#order + 1] = entry
        end
        if not is_placed then
          order[#order + 1] = single
        end
        cut.dated = order[#order - (allowed - 1)].dated
        with(cut, grants)
        adds = single.dated > cut.dated
        if not adds then
          with(cut, single)
        end
        fold()
        merges = true
        replaced = {grants}
      end
    end
  else
    local own = everything
    if kind == 'grants' then
      own = grants
    end
    local is_covered = covers(own, cut) or kind == 'grants' and covers(everything, cut)
    if not is_covered then
      with(cut, own)
      replaced = {own}
      if kind == 'subject' and grants and grants.dated <= cut.dated then
        with(cut, grants)
        replaced[#replaced + 1] = grants
      end
      fold()
      local takes_a_place = folded > 0
      for _, old in ipairs({grants, everything}) do
        takes_a_place = takes_a_place or old and (old == replaced[1] or old == replaced[2])
      end
      if not takes_a_place and redis.call('ZCARD', live) >= first_max then
        return {-1, {}}
      end
      merges = true
    end
  end

  if merges then
    for i = 1, folded do
      redis.call('ZREM', live, held[i].member)
      redis.call('ZREM', ends, held[i].member)
    end
    for _, old in ipairs({grants, everything}) do
      if old and (old == replaced[1] or old == replaced[2]) then
        redis.call('ZREM', live, old.member)
        redis.call('HDEL', cuts, old == grants and 'grants' or 'subject')
      end
    end
  end
  if merges or not single then
    end_until(at, subject, text(cut.dated))
  end
  if args[18] ~= '' then
    end_session(at, args[18], subject)
  end

  local sequence, written = head(log), {}
  local function write(record, expires)
    sequence = sequence + 1
    written[#written + 1] = record
    redis.call('XADD', log, 'MAXLEN', '~', '100000', text(sequence) .. '-0', 'record', record)
    redis.call('ZADD', live, text(expires), record)
  end
  local function keep(key, expires)
    local gone = text(math.min(expires + tonumber(args[2]), tonumber(args[19])))
    local left = redis.call('TTL', key)
    if left < 0 or redis.call('TIME')[1] + left < tonumber(gone) then
      redis.call('EXPIREAT', key, gone)
    end
  end
  if adds then
    write(args[15], single.expires)
    redis.call('ZADD', ends, text(single.dated), args[15])
    keep(ends, single.expires)
  end
  if merges then
    local record = args[10] .. text(cut.dated) .. args[11] .. text(cut.expires) .. args[12]
    write(record, cut.expires)
    redis.call('HSET', cuts, kind, record)
    keep(cuts, cut.expires)
  end
  return {sequence, written}
end
"
        )
    };
}

/// Runs `charge`, unless it is late: a revocation that was lifted since must not come back.
///
/// Keys and arguments: those of `charge`, and the deadline (milliseconds since 1970, or empty).
/// Returns what `charge` returns.
pub(crate) static CHARGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(with_log!(
        charge!(),
        is_late!(),
        r"
if is_late(ARGV[20]) then
  return late()
end
return charge(KEYS, ARGV)
"
    ))
});
