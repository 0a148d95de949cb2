//! The algorithms that a private key could sign with. The gate never signs: this is for code that
//! is given a key.

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::Algorithm;

/// The algorithm that fits the key in a PKCS#8 document: ES256, EdDSA or, for at least 2048 bits,
/// RS256. `None` if it is no such key.
pub fn algorithm_of_private(der: &[u8]) -> Option<Algorithm> {
    let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok();
    let ed25519 = || Ed25519KeyPair::from_pkcs8(der).ok();
    let rsa = || RsaKeyPair::from_pkcs8(der).ok();
    p256()
        .map(|_| Algorithm::ES256)
        .or_else(|| ed25519().map(|_| Algorithm::EdDSA))
        .or_else(|| rsa().map(|_| Algorithm::RS256))
}
