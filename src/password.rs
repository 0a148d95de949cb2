//! COMPARE. Compares users' passwords and clients' secrets with their hashes, in turns, and limits
//! how often a login may be tried.

pub(crate) mod attempts;
pub(crate) mod hashing;
