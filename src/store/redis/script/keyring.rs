//! What the server does about keys in one step.

use std::sync::LazyLock;

use redis::Script;

/// Replaces the document, if it is as expected. Asked twice, it says the same twice.
///
/// Key: the document. Arguments: the new one; the one that is expected, unless there is none.
/// Returns whether it is the new one now.
pub(crate) static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local ring, expected = ARGV[1], ARGV[2] or false
local held = redis.call('GET', KEYS[1])
if held == ring then
  return 1
end
if held ~= expected then
  return 0
end
redis.call('SET', KEYS[1], ring)
return 1
",
    )
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
