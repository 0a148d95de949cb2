//! `listeners`: where clients connect.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// A socket on which clients connect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["address"]))]
pub(crate) struct Listener {
    /// The IP address and port on which the gateway listens. Each listener has its own, and none
    /// has that of `admin`. It cannot change while the gateway runs.
    #[schemars(with = "text::Address", example = &"0.0.0.0:8443")]
    pub(crate) address: Option<String>,
    /// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1. Without it the listener speaks cleartext HTTP,
    /// and cannot begin to speak TLS while the gateway runs.
    #[schemars(extend("x-default" = "no TLS"))]
    pub(crate) tls: Option<ListenerTls>,
}

/// The certificate that a listener presents.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["certificates"]))]
pub(crate) struct ListenerTls {
    /// The certificate of the listener. There is exactly one; it may name several hosts.
    #[schemars(length(min = 1, max = 1))]
    pub(crate) certificates: Vec<Certificate>,
}

/// A certificate and its private key. Both are read again when they change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["certificate_file", "key_file"]))]
pub(crate) struct Certificate {
    /// The certificate chain, in PEM.
    #[schemars(with = "text::Path", example = &"tls/site.pem")]
    pub(crate) certificate_file: Option<String>,
    /// The private key of the certificate, in PEM.
    #[schemars(with = "text::Path", example = &"tls/site.key")]
    pub(crate) key_file: Option<String>,
}
