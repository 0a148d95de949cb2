//! Finds the one credential of a request. Absent, malformed and present are three things.
//!
//! Each carrier has one file: where its credential is found, its name, and the slugs of its
//! refusals.

pub mod api_key;
pub mod bearer;
mod carrier;
mod malformed;
pub mod session_cookie;
mod terms;

use super::session::api_key::ApiKey;
use super::session::id::SessionSecret;

pub use carrier::Carrier;
pub use malformed::MalformedCredential;
pub use terms::Voucher;

/// What a client presents, unverified.
pub enum Credential<'a> {
    /// A token in the `Authorization` header.
    Bearer(bearer::SentToken<'a>),
    /// The secret of a session.
    Session(SessionSecret),
    /// An API key.
    ApiKey(ApiKey),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bearer(_) => f.write_str("Bearer([redacted])"),
            Self::Session(_) => f.write_str("Session([redacted])"),
            Self::ApiKey(_) => f.write_str("ApiKey([redacted])"),
        }
    }
}
