//! A gateway behind TLS.

pub(crate) mod client;

use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::certificates::{Authority, Certificate};
use crate::harness::gateway::{self, Gateway};
use crate::harness::upstream::{Behaviour, Upstream};

/// The name of the gateway in its certificates.
pub(crate) const NAME: &str = "gateway.test";

/// A gateway behind TLS, and the upstream behind it.
pub(crate) struct TlsGateway {
    pub(crate) authority: Authority,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

impl TlsGateway {
    pub(crate) fn open() -> Self {
        Self::open_with("")
    }

    /// With more sections in its configuration.
    pub(crate) fn open_with(sections: &str) -> Self {
        Self::open_changed(|text| text + sections)
    }

    /// With a configuration that is changed before it is used.
    pub(crate) fn open_changed(change: impl FnOnce(String) -> String) -> Self {
        let authority = Authority::new();
        let upstream = Upstream::start_with(Behaviour::Mirror);
        let directory = gateway::directory();
        install(&directory, &authority.issue(NAME));
        let gateway = Gateway::start_in(directory, &change(configuration(&upstream)));
        Self { authority, upstream, gateway }
    }
}

/// The standard configuration, behind TLS.
pub(crate) fn configuration(upstream: &Upstream) -> String {
    let tls = "tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }";
    let listener = "{ address: '127.0.0.1:0' }";
    let secured = format!("{{ address: '127.0.0.1:0', {tls} }}");
    gateway::standard(upstream).replacen(listener, &secured, 1)
}

/// Puts a certificate where the configuration looks for it.
pub(crate) fn install(directory: &Arc<TempDir>, certificate: &Certificate) {
    std::fs::write(directory.path().join("site.pem"), &certificate.chain).expect("a file");
    std::fs::write(directory.path().join("site.key"), &certificate.key).expect("a file");
}
