//! Where credentials travel.

use super::terms::{CarrierTerms, Voucher};
use super::{api_key, bearer, session_cookie};
use crate::gate::denial::Slug;

/// Where a credential travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer,
    /// The session cookie.
    Session,
    /// The header for API keys.
    ApiKey,
}

impl Carrier {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 3] = [Self::Bearer, Self::Session, Self::ApiKey];

    const fn terms(self) -> &'static CarrierTerms {
        match self {
            Self::Bearer => &bearer::TERMS,
            Self::Session => &session_cookie::TERMS,
            Self::ApiKey => &api_key::TERMS,
        }
    }

    /// Its place in [`Carrier::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label value in metrics and the access log.
    pub const fn as_str(self) -> &'static str {
        self.terms().name
    }

    /// The party that vouches for its credentials.
    pub const fn vouched_by(self) -> Voucher {
        self.terms().vouched_by
    }

    /// The slug with which an unknown credential is refused.
    pub const fn unknown(self) -> Slug {
        self.terms().unknown
    }

    /// The slug with which an expired credential is refused.
    pub const fn expired(self) -> Slug {
        self.terms().expired
    }

    /// The slug with which a revoked credential is refused.
    pub const fn revoked(self) -> Slug {
        self.terms().revoked
    }
}
