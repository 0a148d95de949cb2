//! The token that tells an upstream who the caller is, whatever they brought: what it must be like.
//! Who makes it is not the gate's business.

use std::sync::atomic::{AtomicU64, Ordering};

use super::forward::OwnedName;

/// What an internal token must be like, compiled from `forward.internal_token`.
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
    /// How long it lives, in seconds.
    pub lifetime_s: i64,
    /// Which claims of the credential go into it, by name or JSON pointer.
    pub claims: Vec<Box<str>>,
    /// How long it may be, in bytes.
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

/// Tells internal tokens apart: what was made by other terms is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InternalTokenId(u64);

impl InternalToken {
    /// One by which nothing was made yet.
    pub fn new(terms: InternalTokenTerms) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: InternalTokenId(NEXT.fetch_add(1, Ordering::Relaxed)), terms }
    }

    /// Its identity within this process.
    pub fn id(&self) -> InternalTokenId {
        self.id
    }

    /// What it must be like.
    pub fn terms(&self) -> &InternalTokenTerms {
        &self.terms
    }
}
