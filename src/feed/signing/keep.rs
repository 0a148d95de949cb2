//! The ring in the store: read, looked after, and replaced if nobody else was faster.

use std::mem::discriminant;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::publication::revoked;
use super::{Kept, NewKey, RingTask, SigningFeed};
use crate::clock;
use crate::config::tokens::Tokens;
use crate::gate::keys::Algorithm;
use crate::issuer::ring::{Cause, Form, FreshKey, Full, Others, Ring, Terms, Unreadable};
use crate::issuer::seal::Seal;
use crate::issuer::signing::SigningError;
use crate::runtime::Running;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::settings::StoreSettings;

/// How often somebody else may be faster.
const ATTEMPTS_MAX: usize = 20;

/// What was read.
#[derive(Debug)]
pub(super) struct LoadedRing {
    document: Document,
    stored: Ring,
    /// What is stored, and what the store has lost.
    ring: Ring,
}

/// What is in the store. Not to be shown.
#[derive(Clone)]
struct Document {
    /// None if there is none.
    bytes: Option<Zeroizing<Vec<u8>>>,
    form: Form,
    /// With what it was opened, or is to be sealed.
    secret: Option<Secret>,
}

/// What the ring of a configuration is kept by.
pub(super) struct RingTarget<'c> {
    configuration: &'c Running,
    tokens: &'c Tokens,
    terms: Terms,
    secret: Option<&'c Secret>,
    seal: Option<Seal>,
    others: Others,
}

/// Why the ring is not as it should be.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("the store's clock was not read yet, which dates a key")]
    Undated,
    #[error("other gateways change the signing keys all the time")]
    Contended,
    #[error("{0}")]
    Cryptography(String),
}

impl Trouble {
    /// Whether it is the same again, though perhaps in other words.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unreadable(one), Self::Unreadable(other)) => one == other,
            (one, other) => discriminant(one) == discriminant(other),
        }
    }

    /// Whether nobody can say what is in the ring.
    pub(super) fn is_unread(&self) -> bool {
        match self {
            Self::Store(_) | Self::Unreadable(_) | Self::Cryptography(_) => true,
            Self::Undated | Self::Full(_) | Self::Contended => false,
        }
    }
}

impl From<SigningError> for Trouble {
    fn from(error: SigningError) -> Self {
        Self::Cryptography(error.to_string())
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("form", &self.form).finish_non_exhaustive()
    }
}

impl LoadedRing {
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }
}

impl<'c> RingTarget<'c> {
    pub(super) fn by(
        configuration: &'c Running,
        tokens: &'c Tokens,
        secret: Option<&'c Secret>,
    ) -> Result<Self, Trouble> {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        // So long a token is accepted after its end.
        let skew_s = configuration.own_issuer().map_or(0, |own| own.rules().clock_skew_s);
        let terms = Terms {
            algorithm: tokens.signing.algorithm,
            reach_s: tokens.signed_lifetime_max_s.saturating_add(skew_s),
            publish_before_s: seconds(tokens.signing.publish_before),
            rotate_every_s: tokens.signing.rotate_every.map(seconds),
        };
        let seal = secret.map(|secret| Ring::seal(secret.expose())).transpose()?;
        let others = match configuration.settings.store {
            StoreSettings::Embedded { .. } => Others::MayNotWrite,
            StoreSettings::Redis(_) => Others::MayWrite,
        };
        Ok(Self { configuration, tokens, terms, secret, seal, others })
    }

    /// Whether the clock is known by which gateways date what they share. An embedded store has none.
    fn is_dated(&self) -> bool {
        match self.configuration.settings.store {
            StoreSettings::Embedded { .. } => true,
            StoreSettings::Redis(_) => clock::is_shared(),
        }
    }
}

impl SigningFeed {
    /// Reads the ring, and does with it what is asked for, however often others are faster. The key
    /// that was ordered.
    pub(super) async fn keep(
        &self,
        kept: &mut Kept,
        wanted: &RingTarget<'_>,
        errand: RingTask,
    ) -> Result<Option<NewKey>, Trouble> {
        let RingTarget { configuration, tokens, terms, seal, .. } = wanted;
        // Made once, however often it has to be put in.
        let mut fresh = None;
        for _ in 0..ATTEMPTS_MAX {
            let (document, stored) = self.read(kept.ring.as_ref(), wanted).await?;
            // All gateways date their keys alike.
            let now = clock::shared();
            let before = kept.ring.take().map(|known| known.ring).unwrap_or_default();
            let ids = before.keys().iter().chain(stored.keys()).map(|key| key.id());
            let revoked = revoked(configuration, tokens, ids);
            let mut ring = stored.clone();
            ring.recover(&before, &revoked, now);
            let known = kept.ring.insert(LoadedRing { document, stored, ring: ring.clone() });
            let due = match errand {
                RingTask::Look => return Ok(None),
                // By a clock of our own it might be the newest for years, or another be taken for spent.
                RingTask::Rotate(_) | RingTask::Upkeep if !wanted.is_dated() => {
                    return Err(Trouble::Undated);
                }
                RingTask::Rotate(begins) => Some((Cause::Operator, begins)),
                RingTask::Upkeep => {
                    ring.due(terms, &revoked, now).map(|cause| (cause, cause.begins_to()))
                }
            };
            // Before anything is dropped: it may have signed by these terms.
            ring.raise_reach(terms.reach_s);
            ring.expel(&revoked, now);
            ring.prune(now);
            let mut made = Ok(None);
            if let Some((cause, begins)) = due {
                if fresh.is_none() && !ring.is_full() {
                    fresh = Some(make(terms.algorithm).await?);
                }
                made = match &fresh {
                    Some(fresh) => ring.rotate(fresh, begins, terms, now).map(|()| {
                        let signs_from = ring.key(fresh.id()).map(|key| key.signs_from());
                        let signs_from = signs_from.unwrap_or(now);
                        Some((cause, NewKey { id: fresh.id().into(), signs_from }))
                    }),
                    None => Err(Full),
                };
            }
            let is_sealed = seal.is_none() || known.document.form == Form::Sealed;
            if ring.is_same_as(&known.stored) && is_sealed {
                return Ok(made.map(|_| None)?);
            }
            let bytes = ring.encode(seal.as_ref())?;
            let expected = known.document.bytes.as_ref().map(|bytes| bytes.as_slice());
            if !self.replace(expected, &bytes).await? {
                continue;
            }
            let form = if seal.is_some() { Form::Sealed } else { Form::Open };
            let secret = wanted.secret.cloned();
            known.document = Document { bytes: Some(bytes), form, secret };
            known.stored = ring.clone();
            known.ring = ring;
            return Ok(made?.map(|(cause, new)| self.tell_of(new, cause)));
        }
        Err(Trouble::Contended)
    }

    fn tell_of(&self, new: NewKey, cause: Cause) -> NewKey {
        let NewKey { id, signs_from } = &new;
        self.families.signing_key_rotations.with_label_values(&[cause.as_str()]).inc();
        tracing::info!(key = &**id, cause = cause.as_str(), %signs_from, "a new signing key");
        new
    }

    async fn read(
        &self,
        known: Option<&LoadedRing>,
        wanted: &RingTarget<'_>,
    ) -> Result<(Document, Ring), Trouble> {
        let begun = Instant::now();
        let read = self.store.ring().await;
        self.families.store_answered("read_keys", read.is_ok(), begun.elapsed());
        let Some(bytes) = read?.map(Zeroizing::new) else {
            let nothing = Document { bytes: None, form: Form::Open, secret: None };
            return Ok((nothing, Ring::default()));
        };
        let is_known = |known: &&LoadedRing| {
            let Document { bytes: before, form: _, secret } = &known.document;
            let (secret, wanted) = (secret.as_ref(), wanted.secret);
            before.as_ref() == Some(&bytes)
                && secret.map(Secret::expose) == wanted.map(Secret::expose)
        };
        if let Some(known) = known.filter(is_known) {
            return Ok((known.document.clone(), known.stored.clone()));
        }
        let (ring, form) = Ring::decode(&bytes, wanted.seal.as_ref(), wanted.others)?;
        let secret = wanted.secret.cloned();
        Ok((Document { bytes: Some(bytes), form, secret }, ring))
    }

    /// Whether nobody else was faster.
    async fn replace(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let replaced = self.store.replace_ring(expected, ring).await;
        self.families.store_answered("replace_keys", replaced.is_ok(), begun.elapsed());
        replaced
    }
}

/// Makes a key, away from the threads that serve: RSA takes its time.
async fn make(algorithm: Algorithm) -> Result<FreshKey, Trouble> {
    let making = tokio::task::spawn_blocking(move || FreshKey::generate(algorithm));
    let made = making.await.map_err(|error| Trouble::Cryptography(error.to_string()))?;
    Ok(made?)
}
