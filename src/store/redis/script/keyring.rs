//! Scripts about the signing keys and the key of the tags.

use std::sync::LazyLock;

use redis::Script;

/// Replaces the document, if it is as expected. Asked twice, it says the same twice.
///
/// Key: the document. Arguments: the new one; until when it may be done (milliseconds since 1970, or nothing): it
/// says from when on a key signs, and is to be known before; the one that is expected, unless there is none.
/// Returns whether it is the new one now.
pub(crate) static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        is_late!(),
        r"
local ring, expected = ARGV[1], ARGV[3] or false
local held = redis.call('GET', KEYS[1])
if held == ring then
  return 1
end
if is_late(ARGV[2]) then
  return late()
end
if held ~= expected then
  return 0
end
redis.call('SET', KEYS[1], ring)
return 1
"
    ))
});

/// Writes a document down, unless there is one. Asked twice, it says the same twice.
///
/// Key: the document. Argument: what is written. Returns what is there now.
pub(crate) static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
",
    )
});
