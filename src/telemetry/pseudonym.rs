//! A keyed hash that distinguishes subjects in logs and reveals nothing else about them.

use aws_lc_rs::hmac;

/// How many bytes of the hash are kept: enough to distinguish subjects.
const PSEUDONYM_BYTES: usize = 12;

/// Makes pseudonyms with one key (HMAC-SHA-256, truncated).
pub struct Pseudonyms(hmac::Key);

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms([redacted])")
    }
}

impl Pseudonyms {
    /// Pseudonyms with this key.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The pseudonym of `subject`, in hexadecimal.
    pub fn of(&self, subject: &str) -> String {
        let tag = hmac::sign(&self.0, subject.as_bytes());
        tag.as_ref().iter().take(PSEUDONYM_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}
