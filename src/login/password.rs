//! The password file: argon2id, the same work for every name, and never so much of it at once that
//! requests are kept waiting.

use std::sync::Arc;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use aws_lc_rs::digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::method::{Finding, Words};
use super::sent::Credentials;
use crate::config::login::{User, Users};
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

    /// Finds out whose credentials these are.
    pub(super) async fn verify(&self, users: &Users, credentials: &Credentials) -> Finding {
        let Credentials { name, password } = credentials;
        let Some(place) = self.place().await else {
            tracing::warn!("too many passwords wait to be hashed");
            return Finding::Undecided(Slug::StoreUnavailable);
        };
        let user = users.0.get(name);
        // Looked for in any case: whether there is such a user must not be told by the time.
        let decoy = decoy(users, name);
        let hash = user.or(decoy).map(|user| user.password.clone());
        let password = password.clone();
        // The place goes with the work: it is taken until that is done, whoever still waits for it.
        let hashing = tokio::task::spawn_blocking(move || {
            let is_right = is_right(hash.as_ref(), &password);
            drop(place);
            is_right
        });
        match (hashing.await, user) {
            (Ok(Match::Right), Some(user)) => Finding::LoggedIn(user.identity.clone()),
            (Ok(Match::Right | Match::Wrong), _) => Finding::Refused(Words::Own),
            (Err(_), _) => Finding::Undecided(Slug::Internal),
        }
    }

    async fn place(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let in_line = self.line.clone().try_acquire_owned().ok()?;
        let place = self.places.clone().acquire_owned().await.ok()?;
        Some((place, in_line))
    }
}

/// Whether a password fits a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Right,
    Wrong,
}

/// The user with whose hash an unknown name costs its time: always the same one for a name.
fn decoy<'u>(users: &'u Users, name: &str) -> Option<&'u User> {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let number =
        hash.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let pick = number.checked_rem(users.0.len() as u64)?;
    users.0.values().nth(usize::try_from(pick).ok()?)
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
    use std::collections::BTreeMap;

    use argon2::password_hash::{PasswordHasher, Salt};
    use argon2::{Algorithm, Params, Version};
    use serde_json::Map;

    use super::*;
    use crate::config::login::LoggedIn;

    fn user(name: &str, password: &str) -> (Box<str>, User) {
        let params = Params::new(8, 1, 1, None).expect("parameters");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let salt = Salt::from_b64("c29tZXNhbHQ").expect("a salt");
        let hash = argon2.hash_password(password.as_bytes(), salt).expect("hashes");
        let identity = LoggedIn {
            subject: format!("{name}'s subject").into(),
            roles: vec!["clerk".into()],
            scopes: Vec::new(),
            claims: Map::new(),
        };
        let password = Secret::new(hash.to_string().into_bytes());
        (name.into(), User { password, identity })
    }

    fn users() -> Users {
        Users(BTreeMap::from([user("alice", "one"), user("bob", "two\0"), user("eve", "")]))
    }

    async fn verify(users: &Users, name: &str, password: &str) -> Option<String> {
        let password = Secret::new(password.as_bytes().to_vec());
        let credentials = Credentials { name: name.into(), password };
        match Hashing::new().verify(users, &credentials).await {
            Finding::LoggedIn(identity) => Some(identity.subject.into()),
            Finding::Refused(Words::Own) => None,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn right_password_is_the_users_and_no_other() {
        let users = users();
        assert_eq!(verify(&users, "alice", "one").await.as_deref(), Some("alice's subject"));
        assert_eq!(verify(&users, "bob", "two\0").await.as_deref(), Some("bob's subject"));
        let wrong = [
            ("alice", "two\0"),
            ("alice", "One"),
            ("alice", "one "),
            ("bob", "two"),
            ("Alice", "one"),
        ];
        for (name, password) in wrong {
            assert_eq!(verify(&users, name, password).await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn unknown_name_is_refused_even_with_the_password_of_its_decoy() {
        let users = users();
        for number in 0..20 {
            for password in ["one", "two\0", ""] {
                assert_eq!(verify(&users, &format!("nobody{number}"), password).await, None);
            }
        }
        assert_eq!(verify(&Users::default(), "alice", "one").await, None);
    }

    #[test]
    fn decoy_of_a_name_is_always_the_same_and_not_always_the_same_one() {
        let users = users();
        let subject = |name: &str| decoy(&users, name).map(|user| user.identity.subject.clone());
        assert_eq!(subject("mallory"), subject("mallory"));
        let all: std::collections::HashSet<_> =
            (0..50).map(|number| subject(&format!("n{number}"))).collect();
        assert_eq!(all.len(), 3);
        assert!(decoy(&Users::default(), "mallory").is_none());
    }

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
