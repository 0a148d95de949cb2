//! Digests of issuer and subject, which index a subject's sessions: both are texts of any length
//! that others have written.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The SHA-256 of an issuer and a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubjectDigest([u8; 32]);

impl SubjectDigest {
    /// The digest of a subject of an issuer.
    pub(super) fn of(issuer: &str, subject: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for text in [issuer, subject] {
            // The length keeps the parts apart: `ab` + `c` is not `a` + `bc`.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        Self::finish(context)
    }

    /// In place of a subject's digest: the index of all API keys. No subject has this digest,
    /// because it is made of fewer bytes than two lengths have.
    pub(super) fn of_api_keys() -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"api keys");
        Self::finish(context)
    }

    /// In place of a subject's digest, if the subject is not known.
    pub(super) fn of_nobody() -> Self {
        Self::of("", "")
    }

    fn finish(context: digest::Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest as bytes.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In base64url: 43 characters.
impl fmt::Display for SubjectDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::SubjectDigest;

    #[test]
    fn issuer_and_subject_are_kept_apart() {
        let digest = SubjectDigest::of("ab", "c");
        assert_eq!(digest, SubjectDigest::of("ab", "c"));
        for (issuer, subject) in [("a", "bc"), ("abc", ""), ("", "abc"), ("c", "ab")] {
            assert_ne!(digest, SubjectDigest::of(issuer, subject), "{issuer} {subject}");
        }
        assert_eq!(digest.to_string().len(), 43);
    }

    #[test]
    fn api_keys_are_no_subject() {
        for (issuer, subject) in [("", ""), ("api keys", ""), ("", "api keys"), ("api", " keys")] {
            let digest = SubjectDigest::of(issuer, subject);
            assert_ne!(digest, SubjectDigest::of_api_keys(), "{issuer} {subject}");
        }
    }
}
