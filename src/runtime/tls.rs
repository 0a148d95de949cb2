//! What a listener uses for TLS handshakes.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};

use crate::config::TlsCertificate;

/// The configuration that presents `certificate`: TLS 1.2 and 1.3, with a choice of HTTP/2 and
/// HTTP/1.1 (RFC 7301). It remembers sessions that clients may resume.
///
/// # Errors
///
/// If the certificate cannot be used.
pub(super) fn server_config(
    certificate: &TlsCertificate,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(certificate.chain().to_vec(), certificate.key().clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
