//! COMPARE. Passwords of people and secrets of clients with their hashes, in turns; how often
//! somebody may try.

pub(crate) mod attempts;
pub(crate) mod hashing;
