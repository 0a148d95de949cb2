//! GRANT. Tokens: the endpoints of RFC 6749 (token), RFC 7009 (revocation), RFC 7662 (introspection), and
//! what clients have to know of them (RFC 7517, RFC 8414).
//!
//! ```text
//! POST token ─parameters→ client ─grant→ access token, and the next refresh token
//! ```
//!
//! An outage is never a word about a client or its token: `invalid_client` and `invalid_grant` make
//! clients throw away what is still good.

mod client;
mod client_credentials;
mod ending_logins;
pub(crate) mod introspect;
pub(crate) mod issue;
pub(crate) mod logout;
pub(crate) mod metadata;
pub mod metrics;
mod parameters;
mod presented_token;
mod recent_exchanges;
mod refresh;
pub(crate) mod refresh_family;
mod refresh_outcome;
pub(crate) mod refusal;
mod reuse;
mod revocation_status;
pub(crate) mod revoke;
mod rotation;
mod secrets;
pub(crate) mod service;
mod standstill;
pub(crate) mod token;
