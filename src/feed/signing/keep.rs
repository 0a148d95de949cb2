//! The ring in the store: read, maintained, and replaced unless another gateway was faster.

use zeroize::Zeroizing;

use super::listing::revoked;
use super::loaded_ring::{LoadedRing, RingTarget, StoredRing, Trouble};
use super::{KnownKeys, NewKey, RingTask, SigningFeed};
use crate::clock;
use crate::gate::keys::Algorithm;
use crate::gate::time::UnixTime;
use crate::issuer::ring::{BeginsTo, Cause, FreshKey, Full, Ring, Terms};
use crate::issuer::ring_document::Form;
use crate::secret::Secret;
use crate::store::StoreError;

/// How often another gateway may write first before this one gives up.
const ATTEMPTS_MAX: usize = 20;

impl SigningFeed {
    /// Reads the ring and runs a task on it, again whenever another gateway wrote first. Returns
    /// the key that an operator ordered.
    pub(super) async fn keep(
        &self,
        kept: &mut KnownKeys,
        target: &RingTarget<'_>,
        task: RingTask,
    ) -> Result<Option<NewKey>, Trouble> {
        let RingTarget { configuration, tokens, terms, seal, .. } = target;
        // Made once, even if several attempts are needed to add it.
        let mut fresh = None;
        for _ in 0..ATTEMPTS_MAX {
            let (document, stored) = self.read(kept.ring.as_ref(), target).await?;
            // All gateways date their keys by the same clock.
            let now = clock::shared();
            let before = kept.ring.take().map(|known| known.ring).unwrap_or_default();
            let ids = before.keys().iter().chain(stored.keys()).map(|key| key.id());
            let revoked = revoked(configuration, tokens, ids);
            let mut ring = stored.clone();
            ring.recover(&before, &revoked, now);
            let known = kept.ring.insert(LoadedRing { document, stored, ring: ring.clone() });
            let due = match task {
                RingTask::Look => return Ok(None),
                // Dated by our own clock, a key might be the newest for years, or another might
                // seem expired.
                RingTask::Rotate(_) | RingTask::Upkeep if !target.is_dated() => {
                    return Err(Trouble::Undated);
                }
                RingTask::Rotate(begins) => Some((Cause::Operator, begins)),
                RingTask::Upkeep => {
                    ring.due(terms, &revoked, now).map(|cause| (cause, cause.begins_to()))
                }
            };
            // Before any key is dropped: it may have signed under these terms.
            ring.raise_reach(terms.reach_s);
            ring.expel(&revoked, now);
            ring.prune(now);
            let made = match due {
                Some(due) => add_key(&mut ring, &mut fresh, due, terms, now).await?.map(Some),
                None => Ok(None),
            };
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
            let secret = target.secret.cloned();
            known.document = StoredRing { bytes: Some(bytes), form, secret };
            known.stored = ring.clone();
            known.ring = ring;
            return Ok(made?.map(|(cause, new)| self.tell_of(new, cause)));
        }
        Err(Trouble::Contended)
    }

    fn tell_of(&self, new: NewKey, cause: Cause) -> NewKey {
        let NewKey { id, signs_from } = &new;
        self.metrics.rotations.with_label_values(&[cause.as_str()]).inc();
        tracing::info!(key = &**id, cause = cause.as_str(), %signs_from, "a new signing key");
        new
    }

    async fn read(
        &self,
        known: Option<&LoadedRing>,
        target: &RingTarget<'_>,
    ) -> Result<(StoredRing, Ring), Trouble> {
        let read = self.store_metrics.timed("read_keys", self.store.ring()).await;
        let Some(bytes) = read?.map(Zeroizing::new) else {
            let nothing = StoredRing { bytes: None, form: Form::Open, secret: None };
            return Ok((nothing, Ring::default()));
        };
        let is_known = |known: &&LoadedRing| {
            let StoredRing { bytes: before, form: _, secret } = &known.document;
            let (secret, target) = (secret.as_ref(), target.secret);
            before.as_ref() == Some(&bytes)
                && secret.map(Secret::expose) == target.map(Secret::expose)
        };
        if let Some(known) = known.filter(is_known) {
            return Ok((known.document.clone(), known.stored.clone()));
        }
        let (ring, form) = Ring::decode(&bytes, target.seal.as_ref(), target.others)?;
        let secret = target.secret.cloned();
        Ok((StoredRing { bytes: Some(bytes), form, secret }, ring))
    }

    /// Whether the ring was replaced. If not, another gateway wrote first.
    async fn replace(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError> {
        self.store_metrics.timed("replace_keys", self.store.replace_ring(expected, ring)).await
    }
}

/// Adds a key to the ring, unless that is full. `fresh` is the key, once it is made.
async fn add_key(
    ring: &mut Ring,
    fresh: &mut Option<FreshKey>,
    (cause, begins): (Cause, BeginsTo),
    terms: &Terms,
    now: UnixTime,
) -> Result<Result<(Cause, NewKey), Full>, Trouble> {
    if fresh.is_none() && !ring.is_full() {
        *fresh = Some(make(terms.algorithm).await?);
    }
    let Some(fresh) = fresh else { return Ok(Err(Full)) };
    Ok(ring.rotate(fresh, begins, terms, now).map(|()| {
        let signs_from = ring.key(fresh.id()).map_or(now, |key| key.signs_from());
        (cause, NewKey { id: fresh.id().into(), signs_from })
    }))
}

/// Makes a key, off the threads that serve requests: RSA is slow.
async fn make(algorithm: Algorithm) -> Result<FreshKey, Trouble> {
    let making = tokio::task::spawn_blocking(move || FreshKey::generate(algorithm));
    let made = making.await.map_err(|error| Trouble::Cryptography(error.to_string()))?;
    Ok(made?)
}
