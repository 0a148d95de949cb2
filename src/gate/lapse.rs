//! Why a credential that was accepted is no longer valid.

use super::credential::Carrier;
use super::denial::Slug;

/// Why a principal is no longer admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lapse {
    /// Its credential has expired.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Lapse {
    /// The label value in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The slug with which a request with such a credential is now refused.
    pub const fn slug(self, carrier: Carrier) -> Slug {
        match self {
            Self::Expired => carrier.expired(),
            Self::Revoked => carrier.revoked(),
        }
    }
}
