//! The name and the password with which a user logs in.

use std::fmt;

use crate::secret::Secret;

/// The longest name, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// The longest password, in bytes.
pub(super) const PASSWORD_BYTES_MAX: usize = 1024;

/// What the user typed.
pub(super) struct NameAndPassword {
    /// The name, as it was typed.
    pub(super) name: Box<str>,
    /// The password.
    pub(super) password: Secret,
}

/// The name is left out, too: people type passwords there.
impl fmt::Debug for NameAndPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameAndPassword").finish_non_exhaustive()
    }
}
