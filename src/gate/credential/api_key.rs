//! API keys, in a header of the operator's choice.

use http::{HeaderMap, HeaderName};

use super::malformed::MalformedCredential;
use super::terms::{CarrierTerms, Voucher, trim_spaces};
use crate::gate::denial::Slug;
use crate::gate::session::api_key::ApiKey;

/// The store knows the callers by their keys.
pub(super) const TERMS: CarrierTerms = CarrierTerms {
    name: "api_key",
    vouched_by: Voucher::Store,
    unknown: Slug::ApiKeyUnknown,
    expired: Slug::ApiKeyExpired,
    revoked: Slug::ApiKeyRevoked,
};

/// Finds the API key of a request.
///
/// # Errors
///
/// [`MalformedCredential::ApiKey`] if the header is present, but does not hold exactly one key.
pub fn find(headers: &HeaderMap, name: &HeaderName) -> Result<Option<ApiKey>, MalformedCredential> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = ApiKey::parse(trim_spaces(value.as_bytes())).filter(|_| values.next().is_none());
    key.map(Some).ok_or(MalformedCredential::ApiKey)
}
