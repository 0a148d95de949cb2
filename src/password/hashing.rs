//! Compares passwords and secrets with argon2id hashes. It limits how many are computed at once, so
//! that requests are not delayed, and how many one account may hold, so that others are not.

mod queue;

use std::sync::Arc;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};

use crate::gate::denial::{Denial, Detail, Slug};
use crate::secret::Secret;
pub(crate) use queue::Party;
use queue::{HashingPlaces, HashingQueue, NoPlace};

/// How many may hash or wait for each that hashes.
const PLACES_PER_CORE: usize = 33;

/// The part of all places that one network, and one account, may hold.
const NETWORK_PART: usize = 2;
const ACCOUNT_PART: usize = 8;

/// When a party that holds its share of the places may try again, in seconds.
const SHARE_RETRY_S: u32 = 1;

/// Hashes passwords, away from the threads that serve requests.
#[derive(Debug)]
pub(crate) struct Hashing {
    queue: Arc<HashingQueue>,
}

/// Whether a password fits a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It does.
    Right,
    /// It does not.
    Wrong,
}

impl Hashing {
    /// On about half of the cores.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hashing = (cores / 2).max(1);
        let all = hashing * PLACES_PER_CORE;
        let (of_network, of_account) = (all / NETWORK_PART, all / ACCOUNT_PART);
        Self { queue: HashingQueue::new(HashingPlaces { hashing, all, of_network, of_account }) }
    }

    /// Whether `password` matches the PHC string `hash`. Without a hash, the comparison takes about
    /// as long and fails.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if the party holds its part of the places already,
    /// [`Slug::Overloaded`] if all are held, and [`Slug::Internal`].
    pub(crate) async fn compare(
        &self,
        party: &Party,
        hash: Option<Secret>,
        password: &Secret,
    ) -> Result<Match, Denial> {
        let place = self.queue.place(party).await.map_err(|no_place| match no_place {
            NoPlace::ShareHeld => {
                Denial::with(Slug::RateLimited, Detail::RetryAfter(SHARE_RETRY_S)).because(
                    "too many passwords of one account or network are waiting to be verified",
                )
            }
            NoPlace::Full => Denial::new(Slug::Overloaded)
                .because("too many passwords are waiting to be verified"),
        })?;
        let password = password.clone();
        // The place moves into the task: it stays taken until the work is done, even if the request
        // is gone.
        let hashing = tokio::task::spawn_blocking(move || {
            let is_right = is_right(hash.as_ref(), &password);
            drop(place);
            is_right
        });
        hashing.await.map_err(|_| Slug::Internal.into())
    }
}

/// Blocks for about ten milliseconds or more.
fn is_right(hash: Option<&Secret>, password: &Secret) -> Match {
    let Some(hash) = hash else {
        // No hash is known at all.
        let mut output = [0; 32];
        let hashed =
            Argon2::default().hash_password_into(password.expose(), b"nobody's salt", &mut output);
        let _ = std::hint::black_box((hashed, output));
        return Match::Wrong;
    };
    let hash =
        std::str::from_utf8(hash.expose()).ok().and_then(|text| PasswordHash::new(text).ok());
    let verified = hash.map(|hash| Argon2::default().verify_password(password.expose(), &hash));
    match verified {
        Some(Ok(())) => Match::Right,
        // One that cannot be read was refused with the configuration.
        Some(Err(_)) | None => Match::Wrong,
    }
}
