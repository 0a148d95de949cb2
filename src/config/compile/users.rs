//! The password file: names, password hashes, and identities.

use std::collections::{BTreeMap, BTreeSet};

use argon2::password_hash::{PasswordHash, Salt};
use argon2::{Algorithm, MIN_SALT_LEN, Params, Version};
use serde_json::{Map, Value};

use super::compiler::Compiler;
use crate::config::login::{HASH_LANES, HASH_MEMORY_KIB, HASH_PASSES, LoggedIn, User, Users};
use crate::config::problem::FieldPath;
use crate::config::raw;
use crate::secret::Secret;

const NAME_BYTES_MAX: usize = 256;

/// A mistake in a password file.
struct Mistake(String);

impl Compiler<'_> {
    pub(super) fn users(&mut self, file: &str, field: &FieldPath) -> Option<Users> {
        let bytes = self.read(file, field)?;
        let raw = match parse(&bytes) {
            Ok(raw) => raw,
            Err(Mistake(fact)) => {
                let fact = format!("`{file}` cannot be understood: {fact}");
                let remedy = "Write `alice: { password: \"$argon2id$…\", roles: [admin] }`, with a \
                              hash that `portcullis password hash` makes";
                return self.error(field, &fact, remedy);
            }
        };
        let mut users = BTreeMap::new();
        let mut is_good = true;
        for (name, raw) in raw {
            match user(&name, raw) {
                Ok(user) => drop(users.insert(name.into(), user)),
                Err(Mistake(fact)) => {
                    is_good = false;
                    let fact = format!("`{file}`: {fact}");
                    self.error::<()>(field, &fact, "Make hashes with `portcullis password hash`");
                }
            }
        }
        let costs: BTreeSet<_> = users.values().map(|(_, cost)| *cost).collect();
        if costs.len() > 1 {
            let fact = format!(
                "`{file}` has hashes of different cost: the time of a login tells which a user has"
            );
            self.warn(field, &fact, "Hash all passwords with the same parameters");
        }
        let users: BTreeMap<Box<str>, User> =
            users.into_iter().map(|(name, (user, _))| (name, user)).collect();
        if users.is_empty() && is_good {
            let fact = format!("`{file}` has no users, so nobody can log in");
            self.warn(field, &fact, "Add one: `alice: { password: … }`");
        }
        is_good.then_some(Users(users))
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, raw::User>, Mistake> {
    // First untyped: if two users have the same name, the typed reading would keep the later.
    let whole: Result<serde_yaml::Value, _> = serde_yaml::from_slice(bytes);
    whole.map_err(|error| Mistake(error.to_string()))?;
    serde_yaml::from_slice(bytes).map_err(|error| Mistake(without_value(&error)))
}

/// The message of an error without the value that was found: it may be a password.
fn without_value(error: &serde_yaml::Error) -> String {
    let message = error.to_string();
    let text = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
    let parts = text.split_once("invalid ").zip(text.rsplit_once(", expected "));
    let Some(((place, _), (_, expected))) = parts else { return message };
    let expected = match expected {
        "struct User" => "a mapping with named fields",
        "a map" if place.is_empty() => "a mapping of names to users",
        other => other,
    };
    let line = error.location().map(|at| format!("line {}: ", at.line())).unwrap_or_default();
    format!("{line}{place}expected {expected}")
}

/// A user, and the cost of their hash.
fn user(name: &str, raw: raw::User) -> Result<(User, Cost), Mistake> {
    let raw::User { password, subject, roles, scopes, claims } = raw;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Mistake(format!("a name has from 1 to {NAME_BYTES_MAX} bytes")));
    }
    let Some(password) = password else {
        return Err(Mistake(format!("`{name}` has no password")));
    };
    let cost =
        cost_of(&password).map_err(|why| Mistake(format!("the password of `{name}` {why}")))?;
    let subject = subject.unwrap_or_else(|| name.to_owned());
    if subject.is_empty() {
        return Err(Mistake(format!("the subject of `{name}` is empty")));
    }
    let texts = |texts: Vec<String>| texts.into_iter().map(Into::into).collect();
    let claims: Option<Map<String, Value>> = claims
        .into_iter()
        .map(|(claim, value)| Some((claim, serde_json::to_value(value).ok()?)))
        .collect();
    let claims = claims.ok_or_else(|| Mistake(format!("the claims of `{name}` are not JSON")))?;
    let user = User {
        password: Secret::new(password.into_bytes()),
        identity: LoggedIn {
            subject: subject.into(),
            roles: texts(roles),
            scopes: texts(scopes),
            claims,
        },
    };
    Ok((user, cost))
}

/// Memory, passes and lanes.
pub(super) type Cost = (u32, u32, u32);

/// The cost of a hash. The hash is parsed here, once, so that no login fails on it.
pub(super) fn cost_of(phc: &str) -> Result<Cost, String> {
    let hash = PasswordHash::new(phc).map_err(|_| "is not a PHC string".to_owned())?;
    if Algorithm::try_from(hash.algorithm).ok() != Some(Algorithm::Argon2id) {
        return Err(format!("is hashed with {}, not with argon2id", hash.algorithm));
    }
    if hash.version.is_some_and(|version| Version::try_from(version).is_err()) {
        return Err("is hashed with a version of argon2 that is not known".to_owned());
    }
    let (Some(salt), Some(_)) = (hash.salt, hash.hash) else {
        return Err("lacks its salt or its hash".to_owned());
    };
    let mut room = [0; Salt::MAX_LENGTH];
    if salt.decode_b64(&mut room).map_or(0, <[u8]>::len) < MIN_SALT_LEN {
        return Err("has a salt that is too short".to_owned());
    }
    let params =
        Params::try_from(&hash).map_err(|error| format!("has invalid parameters: {error}"))?;
    let memory_kib_min = HASH_MEMORY_KIB.start();
    if params.m_cost() < *memory_kib_min {
        return Err(format!("is hashed with less than {memory_kib_min} KiB of memory"));
    }
    if !HASH_MEMORY_KIB.contains(&params.m_cost())
        || !HASH_PASSES.contains(&params.t_cost())
        || !HASH_LANES.contains(&params.p_cost())
    {
        return Err("has a hash that takes too much memory or time".to_owned());
    }
    Ok((params.m_cost(), params.t_cost(), params.p_cost()))
}
