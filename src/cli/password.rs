//! `portcullis password`: hashes for the file of `login.password_file`.

use std::io::{BufRead, IsTerminal, Read};
use std::ops::RangeInclusive;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, table};
use crate::config;
use crate::config::login::{HASH_LANES, HASH_MEMORY_KIB, HASH_PASSES};
use crate::secret::Secret;

/// The longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Password {
    /// Hash a password with argon2id, for `login.password_file` or `clients[].secret_hash`.
    ///
    /// The command asks for the password twice on a terminal; otherwise it reads one line of
    /// standard input. A password has at most 1024 bytes.
    Hash(Hash),
}

const EXAMPLES: &str = "\
Examples:
  The hash of a password that you type, for `login.password_file`:
    portcullis password hash

  A client secret from a file, for `clients[].secret_hash`:
    portcullis password hash < client.secret";

// The defaults are OWASP's.
const MEMORY_DEFAULT: &str = "19MiB";
const PASSES_DEFAULT: u32 = 2;
const LANES_DEFAULT: u32 = 1;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Hash {
    /// Memory that each login with this password takes, 7MiB to 1GiB.
    #[arg(long, value_name = "SIZE", default_value = MEMORY_DEFAULT)]
    memory: String,
    /// Number of passes over the memory, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = PASSES_DEFAULT)]
    passes: u32,
    /// Number of lanes (argon2's parallelism), 1 to 16.
    #[arg(long, value_name = "N", default_value_t = LANES_DEFAULT)]
    lanes: u32,
}

/// The hash of a password at the default cost of `password hash`.
pub(super) fn hash_at_default_cost(password: &[u8]) -> Result<String, Failure> {
    let cost =
        Hash { memory: MEMORY_DEFAULT.to_owned(), passes: PASSES_DEFAULT, lanes: LANES_DEFAULT };
    hashed(&Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?), password)
}

fn hashed(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, Failure> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = argon2.hash_password(password, &salt).map_err(Failure::failed)?;
    Ok(hash.to_string())
}

impl Password {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Hash(hash) => hash.run(),
        }
    }
}

impl Hash {
    fn run(self) -> Result<(), Failure> {
        // The parameters are checked before the user types a password.
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params()?);
        let password = if std::io::stdin().is_terminal() { typed()? } else { read()? };
        table::print(&format!("{}\n", hashed(&argon2, password.expose())?))
    }

    fn params(&self) -> Result<Params, Failure> {
        let Self { memory, passes, lanes } = self;
        let Some(bytes) = config::size(memory) else {
            return bad(format!("`{memory}` is not a size: write 19MiB, 64MiB …"));
        };
        let memory_kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        within(memory_kib, &HASH_MEMORY_KIB, "--memory is", " KiB")?;
        within(*passes, &HASH_PASSES, "--passes is", "")?;
        within(*lanes, &HASH_LANES, "--lanes is", "")?;
        Params::new(memory_kib, *passes, *lanes, None).map_err(Failure::failed)
    }
}

/// A hash beyond these bounds would not be accepted in a password file.
fn within(value: u32, bounds: &RangeInclusive<u32>, what: &str, unit: &str) -> Result<(), Failure> {
    if bounds.contains(&value) {
        return Ok(());
    }
    bad(format!("{what} from {} to {}{unit}", bounds.start(), bounds.end()))
}

fn bad<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::BadInput(format!("portcullis: {}", why.into())))
}

/// Asks for a password on the terminal, which does not show it.
fn typed() -> Result<Secret, Failure> {
    // Ctrl-C would end the process before the terminal shows typed text again. Once there is a
    // handler for the signal, it is an error like any other.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let _guard = runtime.enter();
    let _listening = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let ask = |prompt| {
        let text = rpassword::prompt_password(prompt).map_err(Failure::failed)?;
        Ok(Secret::new(text.into_bytes()))
    };
    let password = acceptable(ask("Password: ")?)?;
    let again: Secret = ask("Again: ")?;
    if password.expose() != again.expose() {
        return bad("the two passwords differ");
    }
    Ok(password)
}

/// Reads a password from standard input: its first line.
fn read() -> Result<Secret, Failure> {
    // The capacity holds all that is read: a growing vector leaves copies behind.
    let bytes_max = PASSWORD_BYTES_MAX + 2;
    let mut line = Vec::with_capacity(bytes_max);
    let mut input = std::io::stdin().lock().take(bytes_max as u64);
    input.read_until(b'\n', &mut line).map_err(Failure::failed)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    acceptable(Secret::new(line))
}

fn acceptable(password: Secret) -> Result<Secret, Failure> {
    let bytes = password.expose();
    if bytes.is_empty() {
        return bad("the password is empty");
    }
    if bytes.len() > PASSWORD_BYTES_MAX {
        return bad(format!("the password is longer than {PASSWORD_BYTES_MAX} bytes"));
    }
    // Such a password could not be used to log in.
    if std::str::from_utf8(bytes).is_err() {
        return bad("the password is not UTF-8");
    }
    Ok(password)
}
