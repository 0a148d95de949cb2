//! A named destination.

use std::time::Duration;

/// The settings of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its name.
    pub name: Box<str>,
    /// `host:port` each.
    pub peers: Vec<Box<str>>,
    /// TLS towards it.
    pub tls: Option<UpstreamTls>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for each read.
    pub read_timeout: Duration,
    /// How long to wait for each write.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How often a request that could not be sent is tried on another peer.
    pub retries: usize,
    /// How many requests it may have at once; by default a share of all.
    pub in_flight_max: Option<usize>,
}

/// TLS towards an upstream; certificates are always verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that the certificate must carry, and SNI.
    pub server_name: Box<str>,
    /// Certificate authorities (DER) to trust instead of the system's.
    pub ca: Option<Vec<Vec<u8>>>,
}
