//! What differs from carrier to carrier.

use crate::gate::denial::Slug;

/// How a carrier is called, and with which slug its credentials are refused.
pub(super) struct CarrierTerms {
    /// The label value in metrics and the access log, and the name in `gateway.yaml`.
    pub(super) name: &'static str,
    /// Of a credential that nobody knows.
    pub(super) unknown: Slug,
    /// Of one that has expired.
    pub(super) expired: Slug,
    /// Of one that was revoked.
    pub(super) revoked: Slug,
}

/// Without the spaces around.
pub(super) fn trim_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take_while(|byte| **byte == b' ').count();
    let spaces = bytes[start..].iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[start..bytes.len() - spaces]
}
