//! Publishes the keys: to the signer of tokens, in the public JWKS, and to our own gate.

use std::sync::Arc;

use serde_json::json;

use super::listing::{KeyState, ListedKey, PublishedKeys, is_among, revoked};
use super::{KnownKeys, SigningFeed};
use crate::clock;
use crate::config::tokens::Tokens;
use crate::gate::keys::{Algorithm, Key, KeySet};
use crate::gate::time::UnixTime;
use crate::issuer::signing_set::SigningSet;
use crate::runtime::Running;

/// The algorithms of our own keys.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

/// Our own keys do not grow old: an unavailable store must not stop verification. The value is not
/// `UnixTime::NEVER`, which marks keys from the configuration.
const USABLE_UNTIL: UnixTime = UnixTime::from_seconds(i64::MAX - 1);

impl SigningFeed {
    /// Publishes the keys, if they have changed.
    pub(super) fn publish(
        &self,
        kept: &mut KnownKeys,
        configuration: &Running,
        tokens: &Arc<Tokens>,
    ) {
        let (now, steady) = (clock::shared(), clock::steady());
        // Until the list is loaded, it is not known which keys are revoked.
        if configuration.gate.revocations.age_ms(steady).is_none() {
            return;
        }
        let (keys, set, jwks) = {
            let Some(source) = kept.source(tokens) else { return };
            let revoked = revoked(configuration, tokens, source.ids());
            let keys = source.list(&revoked, now);
            let is_published = |PublishedKeys { of, keys: before }: &PublishedKeys| {
                Arc::ptr_eq(of, tokens) && *before == keys
            };
            if kept.published.as_ref().is_some_and(is_published) {
                return;
            }
            let live = source.signers().into_iter().filter(|key| !is_among(&revoked, key.id()));
            let jwks: Vec<_> = live.map(|signer| signer.jwk()).collect();
            let text = json!({ "keys": jwks }).to_string();
            let dated = source.dated(&revoked, now);
            (keys, SigningSet::new(dated, text.into(), source.fresh_for_s(tokens)), jwks)
        };
        // The verifying gate comes first.
        let verifying = jwks.into_iter().filter_map(|jwk| Key::from_jwk(jwk, &ALGORITHMS).ok());
        let verifying = KeySet::new(verifying.collect());
        if let Some(own) = configuration.own_issuer() {
            own.keys().publish(verifying, now, USABLE_UNTIL);
        }
        let signs = set.signer(now).is_some();
        self.cell.publish(set);
        self.count(&keys);
        kept.published = Some(PublishedKeys { of: tokens.clone(), keys });
        if signs {
            self.has_keys.send_replace(true);
        }
    }

    fn count(&self, keys: &[ListedKey]) {
        for state in KeyState::PUBLISHED {
            let count = keys.iter().filter(|key| key.state == state).count();
            let gauge = self.metrics.keys.with_label_values(&[state.as_str()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
