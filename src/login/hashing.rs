//! Passwords and secrets → whether they fit a hash: argon2id, and never so much of it at once that
//! requests are kept waiting.

use std::sync::Arc;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gate::denial::Slug;
use crate::secret::Secret;

/// How many may wait for each password that is being hashed.
const WAITING_PER_PLACE: usize = 32;

/// Hashes passwords, away from the threads that serve requests.
#[derive(Debug)]
pub(super) struct Hashing {
    /// Who hashes, or waits to.
    line: Arc<Semaphore>,
    /// Who hashes.
    places: Arc<Semaphore>,
}

/// Whether a password fits a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// It does.
    Right,
    /// It does not.
    Wrong,
}

impl Hashing {
    /// On about half of the cores.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_places((cores / 2).max(1), WAITING_PER_PLACE)
    }

    fn with_places(places: usize, waiting_per_place: usize) -> Self {
        Self {
            line: Arc::new(Semaphore::new(places * (1 + waiting_per_place))),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Whether `password` is the one of which `hash` is the PHC string. Without a hash it takes
    /// about as long, and is not.
    ///
    /// # Errors
    ///
    /// [`Slug::StoreUnavailable`] if too many wait already, and [`Slug::Internal`].
    pub(super) async fn compare(
        &self,
        hash: Option<Secret>,
        password: &Secret,
    ) -> Result<Match, Slug> {
        let Some(place) = self.place().await else {
            tracing::warn!("too many passwords wait to be hashed");
            return Err(Slug::StoreUnavailable);
        };
        let password = password.clone();
        // The place goes with the work: it is taken until that is done, whoever still waits for it.
        let hashing = tokio::task::spawn_blocking(move || {
            let is_right = is_right(hash.as_ref(), &password);
            drop(place);
            is_right
        });
        hashing.await.map_err(|_| Slug::Internal)
    }

    async fn place(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let in_line = self.line.clone().try_acquire_owned().ok()?;
        let place = self.places.clone().acquire_owned().await.ok()?;
        Some((place, in_line))
    }
}

/// Blocking, for some ten milliseconds and more.
fn is_right(hash: Option<&Secret>, password: &Secret) -> Match {
    let Some(hash) = hash else {
        // Nobody is known at all.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn line_is_bounded() {
        let hashing = Hashing::with_places(1, 1);
        let taken = hashing.place().await.expect("a place");
        let waiting = tokio::spawn({
            let line = Hashing { line: hashing.line.clone(), places: hashing.places.clone() };
            async move { line.place().await.is_some() }
        });
        while hashing.line.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(hashing.place().await.is_none(), "the line is full");
        drop(taken);
        assert!(waiting.await.expect("ends"), "who waited has his turn");
        assert!(hashing.place().await.is_some(), "and there is room again");
    }
}
