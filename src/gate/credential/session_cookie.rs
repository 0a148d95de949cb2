//! The session cookie.

use http::HeaderMap;

use super::terms::{CarrierTerms, Voucher};
use crate::gate::denial::Slug;
use crate::gate::session::cookie::{Ambiguous, CookieRules};
use crate::gate::session::id::SessionSecret;

/// The cookie belongs to a user who has logged in.
pub(super) const TERMS: CarrierTerms = CarrierTerms {
    name: "session",
    vouched_by: Voucher::Store,
    unknown: Slug::SessionUnknown,
    expired: Slug::SessionExpired,
    revoked: Slug::SessionRevoked,
};

/// Finds the secret of a session in the cookies of a request.
///
/// # Errors
///
/// [`Ambiguous`] if the cookie is present more than once, or does not hold a secret.
pub fn find(headers: &HeaderMap, cookie: &CookieRules) -> Result<Option<SessionSecret>, Ambiguous> {
    cookie.find(headers)
}
