//! The internal token: its terms. It tells an upstream who the caller is, whatever credential they
//! presented. How it is made is not the gate's business.

use std::sync::atomic::{AtomicU64, Ordering};

use super::forward::OwnedName;

/// The terms of an internal token, compiled from `forward.internal_token`.
#[derive(Debug)]
pub struct InternalToken {
    id: InternalTokenId,
    terms: InternalTokenTerms,
}

/// The contents of an [`InternalToken`].
#[derive(Clone, Debug, PartialEq)]
pub struct InternalTokenTerms {
    /// `aud`.
    pub audience: Box<str>,
    /// The header that carries it.
    pub header: TokenHeader,
    /// Its lifetime, in seconds.
    pub lifetime_s: i64,
    /// Which claims of the credential it copies, by name or JSON pointer.
    pub claims: Vec<Box<str>>,
    /// Its maximum length, in bytes.
    pub bytes_max: usize,
}

/// The header that carries an internal token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenHeader {
    /// `Authorization: Bearer …`, which replaces the client's.
    Authorization,
    /// A header of its own, which belongs to the gateway, with the token alone.
    Own(OwnedName),
}

/// Distinguishes internal tokens: a token made under other terms is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InternalTokenId(u64);

impl InternalToken {
    /// New terms, under which no token was made yet.
    pub fn new(terms: InternalTokenTerms) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: InternalTokenId(NEXT.fetch_add(1, Ordering::Relaxed)), terms }
    }

    /// Its identity within this process.
    pub fn id(&self) -> InternalTokenId {
        self.id
    }

    /// Its terms.
    pub fn terms(&self) -> &InternalTokenTerms {
        &self.terms
    }
}
