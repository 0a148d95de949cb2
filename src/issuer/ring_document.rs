//! The ring as it is stored: JSON with a version, sealed as a whole if there is an encryption key.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::gate::time::UnixTime;
use crate::issuer::key_pairs::SigningError;
use crate::issuer::ring::{Ring, RingKey};
use crate::issuer::seal::Seal;
use crate::issuer::signer::Signer;

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// The purpose of the seal, and the context that it authenticates.
const PURPOSE: &[u8] = b"portcullis signing keys";

/// What a key takes in addition to its base64 at most, in bytes.
const MEMBERS_BYTES: usize = 200;

/// Whether the document that was read was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It was not: anyone with access to the store could read it.
    Open,
    /// It was: the encryption key is required to read it.
    Sealed,
}

/// Whether anyone but gateways could write the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They might: only a sealed document is trusted.
    MayWrite,
    /// They could not: an open document dates from before there was an encryption key.
    MayNotWrite,
}

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRing {
    /// Not a ring.
    #[error("the signing keys in the store are damaged")]
    Damaged,
    /// A ring of this version.
    #[error(
        "the signing keys in the store have version {0}, which this gateway is too old to read"
    )]
    Version(u64),
    /// It is not sealed, in a place that others can write to.
    #[error(
        "the signing keys in the store are not sealed, though there is an encryption key: \
         somebody else may have put them there"
    )]
    Open,
    /// It is sealed, and there is no encryption key.
    #[error(
        "the signing keys in the store are sealed, and there is no encryption key to open them"
    )]
    NoKey,
    /// It is sealed, but cannot be opened.
    #[error("the signing keys in the store are sealed with another encryption key, or damaged")]
    OtherKey,
    /// One of its keys is invalid.
    #[error("a signing key in the store cannot be used")]
    Key,
}

#[derive(Deserialize)]
struct DocumentVersion {
    version: u64,
}

/// What is written: one of the two forms.
#[derive(Serialize, Deserialize)]
struct RingDocument<'a> {
    version: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<KeyDocument<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    sealed: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct KeyDocument<'a> {
    algorithm: &'a str,
    /// Base64, borrowed: a copy would have to be wiped.
    pkcs8: &'a str,
    created: i64,
    signs_from: i64,
    reach_s: i64,
}

impl Ring {
    /// The key that seals and opens documents, derived from a secret of at least 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`SigningError::Generate`] if the cryptographic library fails.
    pub fn seal(secret: &[u8]) -> Result<Seal, SigningError> {
        Ok(Seal::new(secret, PURPOSE)?)
    }

    /// Reads a document. Members that this version does not know are ignored.
    ///
    /// # Errors
    ///
    /// [`UnreadableRing`], which reveals none of the contents.
    pub fn decode(
        bytes: &[u8],
        seal: Option<&Seal>,
        others: Others,
    ) -> Result<(Self, Form), UnreadableRing> {
        match (parse(bytes)?, seal) {
            (RingDocument { keys: Some(_), sealed: None, .. }, Some(_))
                if others == Others::MayWrite =>
            {
                Err(UnreadableRing::Open)
            }
            (RingDocument { keys: Some(keys), sealed: None, .. }, _) => {
                Ok((Self::compile(keys)?, Form::Open))
            }
            (RingDocument { sealed: Some(_), .. }, None) => Err(UnreadableRing::NoKey),
            (RingDocument { sealed: Some(sealed), keys: None, .. }, Some(seal)) => {
                let sealed = STANDARD.decode(sealed).map_err(|_| UnreadableRing::Damaged)?;
                let open = seal.open(&sealed, PURPOSE).map_err(|_| UnreadableRing::OtherKey)?;
                let keys = parse(&open)?.keys.ok_or(UnreadableRing::Damaged)?;
                Ok((Self::compile(keys)?, Form::Sealed))
            }
            (RingDocument { .. }, _) => Err(UnreadableRing::Damaged),
        }
    }

    fn compile(keys: Vec<KeyDocument<'_>>) -> Result<Self, UnreadableRing> {
        let mut ring = Self::default();
        for KeyDocument { algorithm, pkcs8, created, signs_from, reach_s } in keys {
            let pkcs8 =
                STANDARD.decode(pkcs8).map(Zeroizing::new).map_err(|_| UnreadableRing::Key)?;
            let signer = Signer::from_pkcs8(&pkcs8).map_err(|_| UnreadableRing::Key)?;
            if name(&signer) != algorithm {
                return Err(UnreadableRing::Key);
            }
            ring.insert(RingKey {
                signer: Arc::new(signer),
                pkcs8: Arc::new(pkcs8),
                created: UnixTime::from_seconds(created),
                signs_from: UnixTime::from_seconds(signs_from),
                reach_s,
            });
        }
        Ok(ring)
    }

    /// The document, sealed if `seal` is given.
    ///
    /// # Errors
    ///
    /// [`SigningError::Generate`] if the cryptographic library fails.
    pub fn encode(&self, seal: Option<&Seal>) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let texts: Vec<_> =
            self.keys().iter().map(|key| Zeroizing::new(STANDARD.encode(&**key.pkcs8))).collect();
        let keys = self.keys().iter().zip(&texts).map(|(key, text)| KeyDocument {
            algorithm: name(&key.signer),
            pkcs8: text,
            created: key.created.as_seconds(),
            signs_from: key.signs_from.as_seconds(),
            reach_s: key.reach_s,
        });
        let keys = keys.collect();
        // Allocated at once: what a vector leaves behind when it grows is not wiped.
        let bytes_max: usize = texts.iter().map(|text| text.len() + MEMBERS_BYTES).sum();
        let open =
            write(&RingDocument { version: VERSION, keys: Some(keys), sealed: None }, bytes_max);
        let Some(seal) = seal else { return Ok(open) };
        let sealed = STANDARD.encode(seal.seal(&open, PURPOSE)?);
        Ok(write(
            &RingDocument { version: VERSION, keys: None, sealed: Some(&sealed) },
            sealed.len(),
        ))
    }
}

fn parse(bytes: &[u8]) -> Result<RingDocument<'_>, UnreadableRing> {
    // Errors of the parser quote what they cannot parse.
    let parsed: Result<DocumentVersion, _> = serde_json::from_slice(bytes);
    match parsed.map_err(|_| UnreadableRing::Damaged)? {
        DocumentVersion { version: VERSION } => {}
        DocumentVersion { version } => return Err(UnreadableRing::Version(version)),
    }
    serde_json::from_slice(bytes).map_err(|_| UnreadableRing::Damaged)
}

fn write(document: &RingDocument<'_>, bytes_max: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max + MEMBERS_BYTES));
    serde_json::to_writer(&mut *bytes, document).expect("texts and numbers are JSON");
    bytes
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is jsonwebtoken's")]
fn name(signer: &Signer) -> &'static str {
    match signer.algorithm() {
        jsonwebtoken::Algorithm::ES256 => "ES256",
        jsonwebtoken::Algorithm::EdDSA => "EdDSA",
        jsonwebtoken::Algorithm::RS256 => "RS256",
        // Not an algorithm that signs here.
        _ => "",
    }
}
