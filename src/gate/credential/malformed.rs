//! Credentials that cannot be read.

use crate::gate::denial::{Denial, Slug};

/// Something was sent as a credential, but it cannot be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCredential {
    /// More than one `Authorization` header.
    #[error("more than one Authorization field")]
    Repeated,
    /// The scheme cannot be recognised (RFC 9110 §11.4).
    #[error("the Authorization field cannot be read")]
    Unreadable,
    /// The Bearer scheme, and nothing after it.
    #[error("there is no token after Bearer")]
    NoToken,
    /// The Bearer scheme, but not one token68 after it (RFC 9110 §11.2).
    #[error("what follows Bearer is not one token")]
    Token,
    /// Not exactly one API key, copied whole.
    #[error("the API key field is repeated, or does not hold one complete key")]
    ApiKey,
}

impl From<MalformedCredential> for Denial {
    fn from(malformed: MalformedCredential) -> Self {
        let slug = match malformed {
            MalformedCredential::Repeated
            | MalformedCredential::Unreadable
            | MalformedCredential::ApiKey => Slug::CredentialMalformed,
            MalformedCredential::NoToken | MalformedCredential::Token => Slug::TokenMalformed,
        };
        Self::new(slug).explained_because(malformed.to_string())
    }
}
