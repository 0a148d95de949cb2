//! Certificates and keys from PEM files. A bad file is an error here, never a panic later.

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// Which of two files is invalid, and why, as a clause.
pub(super) enum Unusable {
    /// The certificate chain, or the chain does not fit the key.
    Chain(String),
    /// The private key.
    Key(String),
}

/// A certificate chain with its private key, for authentication by TLS.
pub struct TlsCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: Zeroizing<PrivateKeyDer<'static>>,
}

impl TlsCertificate {
    /// Reads both from PEM.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used, or they do not belong together.
    pub(super) fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, Unusable> {
        let chain = certificates(chain_pem).map_err(Unusable::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| {
            Unusable::Key(format!("the key file holds no private key in PEM ({error})"))
        })?;
        // This does the same as a handshake does with them. The result is dropped.
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
            Unusable::Chain(format!("certificate and key do not go together ({error})"))
        })?;
        Ok(Self { chain, key: Zeroizing::new(key) })
    }

    /// The certificates, with that of the server first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key of the first certificate.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// Whether clients would see no difference.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let Self { chain, key } = self;
        *chain == other.chain && key.secret_der() == other.key.secret_der()
    }
}

impl fmt::Debug for TlsCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCertificate").field("chain", &self.chain).finish_non_exhaustive()
    }
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

/// The certificate authorities of a PEM file. Each of them is valid as a trust anchor.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_does_not_show_its_key() {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["site.test".to_owned()]).expect("a certificate");
        let read = |key: &str| TlsCertificate::from_pem(cert.pem().as_bytes(), key.as_bytes());
        let Ok(certificate) = read(&signing_key.serialize_pem()) else { panic!("a certificate") };
        assert_eq!(certificate.key().secret_der(), signing_key.serialize_der());
        let shown = format!("{certificate:?}");
        assert!(shown.contains("chain") && !shown.contains("key"), "{shown}");
    }
}
