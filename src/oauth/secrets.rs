//! Compares the secrets of clients. Machines present theirs again and again: a secret that was
//! right a moment ago is not hashed again, and does not count as an attempt.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use moka::future::Cache;

use crate::clock;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::password::attempts;
use crate::password::hashing::{Hashing, Match, Party};
use crate::secret::Secret;
use crate::store::attempts::{Attempt, AttemptAccount, AttemptBudget, AttemptLedger};

/// How many pairs of client and secret are remembered, and for how long.
const REMEMBERED_MAX: u64 = 1000;
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);

/// The prefix that keeps these attempts apart from attempts to log in.
const LEDGER: &str = "client";

/// Secrets that were found right.
#[derive(Debug)]
pub(super) struct Secrets {
    hashing: Arc<Hashing>,
    /// Secrets are remembered by a keyed digest, so that the memory is of no use elsewhere. Without
    /// a key, none are.
    key: Option<hmac::Key>,
    right: Cache<[u8; 32], ()>,
}

/// Where attempts of clients are counted, and against whom.
#[derive(Clone, Copy)]
pub(super) struct Attempts<'a> {
    pub(super) ledger: &'a dyn AttemptLedger,
    /// From where the client asks.
    pub(super) client: Option<IpAddr>,
    pub(super) per_address: AttemptBudget,
}

/// Why a secret was not found right.
#[derive(Clone, Debug)]
enum SecretFault {
    Wrong,
    Denied(Denial),
}

impl Secrets {
    /// None yet.
    pub(super) fn new(hashing: Arc<Hashing>) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        let right =
            Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED_FOR).build();
        Self { hashing, key, right }
    }

    /// The digest by which a pair is remembered. A new hash in a new configuration makes a new
    /// pair.
    fn digest(&self, id: &str, hash: Option<&Secret>, secret: &Secret) -> Option<[u8; 32]> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [id.as_bytes(), hash?.expose(), secret.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }

    /// Whether `secret` matches the PHC string `hash`, for a client that is known to have that
    /// hash. For any other client, the comparison costs as much.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] for a client that has presented too many wrong secrets, or too many at
    /// once; [`Slug::StoreUnavailable`] if attempts cannot be counted: what cannot be counted is
    /// not tried.
    pub(super) async fn is_right(
        &self,
        attempts: Attempts<'_>,
        id: &str,
        hash: Option<&Secret>,
        is_known: bool,
        secret: &Secret,
    ) -> Result<bool, Denial> {
        let comparison = async {
            let named = is_known.then_some(id);
            let counted = attempts.count(named).await.map_err(SecretFault::Denied)?;
            let party = Party::of_client(id, attempts.client);
            match self.hashing.compare(&party, hash.cloned(), secret).await {
                Ok(Match::Right) if is_known => {
                    attempts.give_back(counted).await;
                    Ok(())
                }
                Ok(Match::Right | Match::Wrong) => Err(SecretFault::Wrong),
                Err(denial) => {
                    attempts.give_back(counted).await;
                    Err(SecretFault::Denied(denial))
                }
            }
        };
        // Simultaneous requests with the same secret wait for one comparison: a machine that starts
        // with many connections is hashed once.
        let compared = match self.digest(id, hash, secret) {
            Some(digest) => {
                let compared = self.right.try_get_with(digest, comparison).await;
                compared.map_err(|fault| (*fault).clone())
            }
            None => comparison.await,
        };
        match compared {
            Ok(()) => Ok(true),
            Err(SecretFault::Wrong) => Ok(false),
            Err(SecretFault::Denied(denial)) => Err(denial),
        }
    }
}

impl Attempts<'_> {
    /// Counts an attempt against the pair of its network and the client that it names. All unknown
    /// clients count as one. It never counts against the client alone: anybody could then lock it
    /// out.
    async fn count(self, named: Option<&str>) -> Result<AttemptAccount, Denial> {
        let now = clock::now();
        let what = format!("{LEDGER}:{}", named.unwrap_or_default());
        let account = attempts::of_network(&what, self.client, self.per_address, now);
        match self.ledger.attempt(std::slice::from_ref(&account), now).await {
            Ok(Attempt::Counted) => Ok(account),
            Ok(Attempt::Early(seconds)) => {
                Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds.max(1))))
            }
            Err(error) => {
                tracing::warn!(%error, "attempts of clients cannot be counted");
                Err(Slug::StoreUnavailable.into())
            }
        }
    }

    async fn give_back(self, account: AttemptAccount) {
        if let Err(error) = self.ledger.absolve(&[], &[account]).await {
            tracing::warn!(%error, "attempts of clients cannot be given back");
        }
    }
}
