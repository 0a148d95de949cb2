//! The first user of a password file, with a random password.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::scalar::literal;
use crate::cli::{Failure, password};
use crate::issuer::random;

const NAME_DEFAULT: &str = "demo";
const NAME_BYTES_MAX: usize = 256;

/// How much of the password is random, in bytes.
const PASSWORD_RANDOM_BYTES: usize = 16;

/// A user that can log in.
pub(super) struct FirstUser {
    name: String,
    password: Zeroizing<String>,
    hash: String,
}

impl FirstUser {
    pub(super) fn generate(name: Option<&str>) -> Result<Self, Failure> {
        let bits = random::bits().map_err(|_| Failure::failed("there is no randomness"))?;
        let (random, _) = bits.split_at(PASSWORD_RANDOM_BYTES);
        let password = Zeroizing::new(URL_SAFE_NO_PAD.encode(random));
        let hash = password::hash_at_default_cost(password.as_bytes())?;
        Ok(Self { name: name.unwrap_or(NAME_DEFAULT).to_owned(), password, hash })
    }

    /// The text that is printed once.
    pub(super) fn credentials(&self) -> String {
        let Self { name, password, hash: _ } = self;
        format!("user {name}, password {}, which is not shown again", **password)
    }

    /// The text of the password file.
    pub(super) fn password_file(&self) -> String {
        let Self { name, password: _, hash } = self;
        format!(
            "# Who may log in. `portcullis password hash` makes the hash of a password.\n\
             # A running gateway reads changes by itself.\n\
             {}:\n  password: {hash:?}\n  \
             # What routes can require, and what the service is told:\n  \
             # roles: [clerk]\n  \
             # scopes: [orders:read]\n",
            literal(name)
        )
    }
}

/// Parses a name from an argument.
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_one = (1..=NAME_BYTES_MAX).contains(&text.len());
    match is_one && text.trim() == text && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a name has 1 to {NAME_BYTES_MAX} bytes, none of them white space around it"
        )),
    }
}
