//! What differs from carrier to carrier.

use crate::gate::denial::Slug;

/// How a carrier is called, who vouches for its credentials, and with which slug they are refused.
pub(super) struct CarrierTerms {
    /// The label value in metrics and the access log, and the name in `gateway.yaml`.
    pub(super) name: &'static str,
    /// Who vouches for its credentials.
    pub(super) vouched_by: Voucher,
    /// Of a credential that nobody knows.
    pub(super) unknown: Slug,
    /// Of one that has expired.
    pub(super) expired: Slug,
    /// Of one that was revoked.
    pub(super) revoked: Slug,
}

/// Who vouches for the credentials of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// An issuer of tokens, by its signature: routes say which issuers they accept.
    Issuer,
    /// The gateway itself, which wrote them down in its store.
    Store,
}

/// Without the spaces around.
pub(super) fn trim_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take_while(|byte| **byte == b' ').count();
    let spaces = bytes[start..].iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[start..bytes.len() - spaces]
}
