//! Lists keys and their states: which key signs, which will, which no longer does.

use std::sync::Arc;

use crate::config::tokens::Tokens;
use crate::gate::keys::Algorithm;
use crate::gate::revocation::Scope;
use crate::gate::time::UnixTime;
use crate::issuer::ring::Ring;
use crate::issuer::signer::Signer;
use crate::issuer::signing_set::{DatedSigner, SigningSet};
use crate::runtime::Running;

/// How long verifiers may cache a JWKS at most, in seconds.
const FRESH_FOR_MAX_S: u64 = 3600;

/// How long verifiers may cache the JWKS of keys that the configuration gives, in seconds.
const GIVEN_FRESH_FOR_S: u64 = 300;

/// Where keys come from.
#[derive(Clone, Copy)]
pub(super) enum SigningKeySource<'k> {
    /// The ring that all gateways share.
    Ring(&'k Ring),
    /// The files in the configuration.
    Given(&'k [Arc<Signer>]),
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Signing,
    /// It is published, and will sign or replace another.
    Next,
    /// It is published, and signs no more.
    Retired,
    /// It is neither published nor signs, because it is revoked.
    Revoked,
}

/// A key, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// `kid`.
    pub id: Box<str>,
    /// `alg`.
    pub algorithm: Algorithm,
    /// Its state.
    pub state: KeyState,
    /// When it was made, if the gateways made it.
    pub created: Option<UnixTime>,
    /// When it begins to sign, if there is such a time.
    pub signs_from: Option<UnixTime>,
    /// When it is dropped, if that is known.
    pub retires_at: Option<UnixTime>,
}

/// The keys that were published last.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    pub(super) of: Arc<Tokens>,
    pub(super) keys: Vec<ListedKey>,
}

impl KeyState {
    /// The states of keys that are published.
    pub const PUBLISHED: [Self; 3] = [Self::Signing, Self::Next, Self::Retired];

    /// The word for it, and the label value in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Next => "next",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

impl<'k> SigningKeySource<'k> {
    /// The ids of the keys.
    pub(super) fn ids(self) -> Vec<&'k str> {
        match self {
            Self::Ring(ring) => ring.keys().iter().map(|key| key.id()).collect(),
            Self::Given(signers) => signers.iter().map(|signer| signer.id()).collect(),
        }
    }

    /// The keys, in the order in which they sign.
    pub(super) fn signers(self) -> Vec<&'k Arc<Signer>> {
        match self {
            Self::Ring(ring) => ring.keys().iter().map(|key| key.signer()).collect(),
            Self::Given(signers) => signers.iter().collect(),
        }
    }

    /// Those that sign, now or later.
    pub(super) fn dated(self, revoked: &[Box<str>], now: UnixTime) -> Vec<DatedSigner> {
        match self {
            Self::Ring(ring) => ring.signers(revoked, now),
            Self::Given(signers) => {
                let first = signers.iter().find(|signer| !is_among(revoked, signer.id()));
                let dated = |signer: &Arc<Signer>| {
                    let (signer, signs_from) = (signer.clone(), UnixTime::default());
                    DatedSigner { signer, signs_from }
                };
                first.map(dated).into_iter().collect()
            }
        }
    }

    /// All of them, and what they do.
    pub(super) fn list(self, revoked: &[Box<str>], now: UnixTime) -> Vec<ListedKey> {
        let set = SigningSet::new(self.dated(revoked, now), "".into(), 0);
        let signs = set.signer(now).map(|signer| signer.id().to_owned());
        let turn = match self {
            Self::Ring(ring) => ring.turn(now).unwrap_or(0),
            Self::Given(_) => 0,
        };
        let list = self.signers().into_iter().enumerate().map(|(place, signer)| {
            let id = signer.id();
            let state = if is_among(revoked, id) {
                KeyState::Revoked
            } else if signs.as_deref() == Some(id) {
                KeyState::Signing
            } else if place < turn {
                KeyState::Retired
            } else {
                KeyState::Next
            };
            let (created, signs_from, retires_at) = match self {
                Self::Ring(ring) => {
                    let key = ring.keys().get(place);
                    let created = key.map(|key| key.created());
                    (created, key.map(|key| key.signs_from()), ring.retires_at(place))
                }
                Self::Given(_) => (None, None, None),
            };
            let (id, algorithm) = (id.into(), signer.algorithm());
            ListedKey { id, algorithm, state, created, signs_from, retires_at }
        });
        list.collect()
    }

    /// For how long verifiers may keep the key set, in seconds.
    pub(super) fn fresh_for_s(self, tokens: &Tokens) -> u64 {
        match self {
            // Half the time: a verifier that has just read it knows the next key before that key
            // signs.
            Self::Ring(_) => {
                let half_s = tokens.signing.publish_before.as_secs() / 2;
                half_s.clamp(1, FRESH_FOR_MAX_S)
            }
            Self::Given(_) => GIVEN_FRESH_FOR_S,
        }
    }
}

/// Which of the keys are revoked.
pub(super) fn revoked<'k>(
    configuration: &Running,
    tokens: &Tokens,
    ids: impl IntoIterator<Item = &'k str>,
) -> Vec<Box<str>> {
    let is_named = |issuer: Option<Box<str>>, id: &str| {
        configuration.gate.revocations.names(&Scope::Key { issuer, id: id.into() })
    };
    let is_revoked = |id: &&str| is_named(Some(tokens.issuer.clone()), id) || is_named(None, id);
    ids.into_iter().filter(is_revoked).map(Into::into).collect()
}

/// Whether an id is among these.
pub(super) fn is_among(ids: &[Box<str>], id: &str) -> bool {
    ids.iter().any(|one| **one == *id)
}
