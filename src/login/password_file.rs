//! Compares credentials with the password file, with the same work for every name.

use std::net::IpAddr;

use aws_lc_rs::digest;

use super::name_and_password::NameAndPassword;
use crate::config::login::{User, Users};
use crate::login::outcome::{LoginOutcome, RefusalMessage};
use crate::password::hashing::{Hashing, Match, Party};

/// Finds out whose credentials these are.
pub(super) async fn verify(
    hashing: &Hashing,
    users: &Users,
    credentials: &NameAndPassword,
    client: Option<IpAddr>,
) -> LoginOutcome {
    let NameAndPassword { name, password } = credentials;
    let user = users.0.get(name);
    // The password is always compared, so that timing does not reveal whether the user exists.
    let decoy = decoy(users, name);
    let hash = user.or(decoy).map(|user| user.password.clone());
    let party = Party::of_user(name, client);
    match (hashing.compare(&party, hash, password).await, user) {
        (Ok(Match::Right), Some(user)) => LoginOutcome::LoggedIn(user.identity.clone()),
        (Ok(Match::Right | Match::Wrong), _) => LoginOutcome::Refused(RefusalMessage::Gateway),
        (Err(denial), _) => LoginOutcome::Undecided(denial),
    }
}

/// The user whose hash is used for an unknown name, so that it takes as long. It is always the same
/// user for a name.
fn decoy<'u>(users: &'u Users, name: &str) -> Option<&'u User> {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let number =
        hash.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let pick = number.checked_rem(users.0.len() as u64)?;
    users.0.values().nth(usize::try_from(pick).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use argon2::password_hash::{PasswordHasher, Salt};
    use argon2::{Algorithm, Argon2, Params, Version};
    use serde_json::Map;

    use crate::config::login::LoggedIn;
    use crate::login::password_file::*;
    use crate::secret::Secret;

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
        let credentials = NameAndPassword { name: name.into(), password };
        match super::verify(&Hashing::new(), users, &credentials, None).await {
            LoginOutcome::LoggedIn(identity) => Some(identity.subject.into()),
            LoginOutcome::Refused(RefusalMessage::Gateway) => None,
            other @ (LoginOutcome::Refused(RefusalMessage::Service(_))
            | LoginOutcome::Limited(_)
            | LoginOutcome::Undecided(_)
            | LoginOutcome::Unintelligible(_)) => panic!("{other:?}"),
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
}
