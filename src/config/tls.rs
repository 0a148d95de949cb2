//! Certificates and keys from PEM files. A bad file is an error here, never a panic later.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Which of two files is to blame, and for what, as a clause.
pub(super) enum Unusable {
    /// The certificate chain, or that it does not fit the key.
    Chain(String),
    /// The private key.
    Key(String),
}

/// Builds what a TLS listener needs: TLS 1.2 and 1.3, h2 and HTTP/1.1.
///
/// # Errors
///
/// What is wrong with the certificate chain or the key.
pub(super) fn server_config(
    chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<rustls::ServerConfig>, Unusable> {
    let (chain, key) = identity(chain_pem, key_pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| Unusable::Chain(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            Unusable::Chain(format!("certificate and key do not go together ({error})"))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Builds what a client needs to show who it is; whom it trusts is for others to say.
///
/// # Errors
///
/// What is wrong with the certificate chain or the key.
pub(super) fn client_config(
    chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<rustls::ClientConfig, Unusable> {
    let (chain, key) = identity(chain_pem, key_pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Unusable::Chain(error.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(chain, key)
        .map_err(|error| {
            Unusable::Chain(format!("certificate and key do not go together ({error})"))
        })
}

fn identity(
    chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Unusable> {
    let chain = certificates(chain_pem).map_err(Unusable::Chain)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| {
        Unusable::Key(format!("the key file holds no private key in PEM ({error})"))
    })?;
    Ok((chain, key))
}

/// The private key of a PEM file, in PKCS#8.
///
/// # Errors
///
/// What is wrong with the file, as a clause.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, String> {
    PrivatePkcs8KeyDer::from_pem_slice(pem)
        .map_err(|error| format!("the file holds no private key in PEM (PKCS#8): {error}"))
}

/// The certificate authorities of a PEM file, each one such that it can be trusted.
///
/// # Errors
///
/// What is wrong with the file, as a clause.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let authorities = certificates(pem)?;
    let mut store = rustls::RootCertStore::empty();
    for authority in &authorities {
        store.add(authority.clone()).map_err(|error| format!("not an authority ({error})"))?;
        x509_parser::parse_x509_certificate(authority)
            .map_err(|error| format!("not an X.509 certificate ({error})"))?;
    }
    Ok(authorities)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate file is not PEM ({error})"))?;
    if chain.is_empty() {
        Err("the file holds no certificate in PEM".to_owned())
    } else {
        Ok(chain)
    }
}
