//! Revocations. The list is in memory and exact: no false positives, no evictions.
//!
//! ```text
//! revoked(c)  ⇔  some live entry's scope matches c, and c was issued at or before its cut-off
//! ```
//!
//! An entry lives until it expires. An operator's entry for a subject, a client or an issuer also
//! ends when it is lifted.

mod credential_scopes;
mod cut_offs;
mod entry;
mod id;
mod list;
mod scope;

pub use credential_scopes::{CredentialScopes, GrantedBy, Revocable};
pub use entry::{Entry, Revocation, SESSION_S};
pub use id::{Lifted, MadeBy, RevocationId};
pub(super) use list::NO_GENERATION;
pub use list::{ListWriter, RevocationList};
pub use scope::{LIFT, Scope, ScopeKind};

#[cfg(test)]
mod tests;
