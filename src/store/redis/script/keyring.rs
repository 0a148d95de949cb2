//! Scripts about the signing keys and the key of the tags.

use std::sync::LazyLock;

use redis::Script;

/// Replaces the document, if it is the expected one. Sent twice, it gives the same answer twice.
///
/// Key: the document. Arguments: the new document; the deadline (milliseconds since 1970, or
/// empty), because the document says when a key starts to sign, and gateways must know the key
/// before; the expected document, unless there is none. Returns whether the document is the new one
/// now.
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

/// Stores a document, unless there is one. Sent twice, it gives the same answer twice.
///
/// Key: the document. Argument: the new document. Returns the document that is stored now.
pub(crate) static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
",
    )
});
