//! The ring as it was read, how it is stored, and why it may not be current.

use std::mem::discriminant;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock;
use crate::config::tokens::Tokens;
use crate::issuer::key_pairs::SigningError;
use crate::issuer::ring::{Full, Ring, Terms};
use crate::issuer::ring_document::{Form, Others, UnreadableRing};
use crate::issuer::seal::Seal;
use crate::runtime::Running;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::settings::StoreSettings;

/// A ring as it was read.
#[derive(Debug)]
pub(super) struct LoadedRing {
    pub(super) document: StoredRing,
    pub(super) stored: Ring,
    /// The ring: what is stored, and what the store has lost.
    pub(super) ring: Ring,
}

/// The ring as it is in the store. It is never logged.
#[derive(Clone)]
pub(super) struct StoredRing {
    /// `None` if the store has no ring.
    pub(super) bytes: Option<Zeroizing<Vec<u8>>>,
    pub(super) form: Form,
    /// The secret that opened it, or is to seal it.
    pub(super) secret: Option<Secret>,
}

/// How the ring of a configuration is stored.
pub(super) struct RingTarget<'c> {
    pub(super) configuration: &'c Running,
    pub(super) tokens: &'c Tokens,
    pub(super) terms: Terms,
    pub(super) secret: Option<&'c Secret>,
    pub(super) seal: Option<Seal>,
    pub(super) others: Others,
}

/// Why the ring is not as it should be.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableRing),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("the store's clock was not read yet, and a new key needs its time")]
    Undated,
    #[error("other gateways kept changing the signing keys")]
    Contended,
    #[error("{0}")]
    Cryptography(String),
}

impl Trouble {
    /// Whether it is the same trouble again, even if worded differently.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unreadable(one), Self::Unreadable(other)) => one == other,
            (one, other) => discriminant(one) == discriminant(other),
        }
    }

    /// Whether the contents of the ring are unknown.
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

impl std::fmt::Debug for StoredRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("form", &self.form).finish_non_exhaustive()
    }
}

impl LoadedRing {
    /// The ring: what is stored, and what the store has lost.
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }
}

impl<'c> RingTarget<'c> {
    /// The ring of a configuration, sealed with `secret` if there is one.
    ///
    /// # Errors
    ///
    /// [`Trouble::Cryptography`] if no seal can be made of the secret.
    pub(super) fn by(
        configuration: &'c Running,
        tokens: &'c Tokens,
        secret: Option<&'c Secret>,
    ) -> Result<Self, Trouble> {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        // A token is still accepted for this long after it expires.
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

    /// Whether the clock by which gateways date shared records is known. An embedded store has
    /// none.
    pub(super) fn is_dated(&self) -> bool {
        match self.configuration.settings.store {
            StoreSettings::Embedded { .. } => true,
            StoreSettings::Redis(_) => clock::is_shared(),
        }
    }
}
