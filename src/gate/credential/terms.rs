//! The differences between carriers.

use crate::gate::denial::Slug;

/// The name of a carrier, the party that vouches for its credentials, and the slugs of its
/// refusals.
pub(super) struct CarrierTerms {
    /// The label value in metrics and the access log, and the name in `gateway.yaml`.
    pub(super) name: &'static str,
    /// The party that vouches for its credentials.
    pub(super) vouched_by: Voucher,
    /// The slug for an unknown credential.
    pub(super) unknown: Slug,
    /// The slug for an expired one.
    pub(super) expired: Slug,
    /// The slug for a revoked one.
    pub(super) revoked: Slug,
}

/// The party that vouches for the credentials of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// An issuer of tokens, by its signature: routes say which issuers they accept.
    Issuer,
    /// The gateway itself, which keeps them in its store.
    Store,
}

/// The bytes without leading and trailing spaces.
pub(super) fn trim_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take_while(|byte| **byte == b' ').count();
    let spaces = bytes[start..].iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[start..bytes.len() - spaces]
}
