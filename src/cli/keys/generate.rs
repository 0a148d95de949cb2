//! `portcullis keys generate`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Failure;
use crate::issuer::key_pairs::{self, KeyKind};

#[derive(Debug, Args)]
pub(in crate::cli) struct Generate {
    /// Algorithm that the key is for.
    #[arg(long, value_enum, default_value_t = Algorithm::Es256)]
    algorithm: Algorithm,
    /// File to write the private key to (PKCS#8 in PEM, mode 0600). `tokens.signing.key_files`
    /// needs this one only.
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// File to write the public key to (PEM); `keys.public_key_file` of an issuer reads it
    /// [default: not written].
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    #[value(name = "ES256")]
    Es256,
    #[value(name = "ES384")]
    Es384,
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "EdDSA")]
    EdDsa,
}

impl Generate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let kind = match self.algorithm {
            Algorithm::Es256 => KeyKind::P256,
            Algorithm::Es384 => KeyKind::P384,
            Algorithm::Rs256 => KeyKind::Rsa,
            Algorithm::EdDsa => KeyKind::Ed25519,
        };
        let pair = key_pairs::generate(kind).map_err(Failure::failed)?;
        write_new(&self.private_key, pair.private.as_bytes(), 0o600)?;
        let Some(public_key) = &self.public_key else { return Ok(()) };
        let public = write_new(public_key, pair.public.as_bytes(), 0o644);
        if public.is_err() {
            // Half a pair is useless, and would block the next attempt.
            let _ = std::fs::remove_file(&self.private_key);
        }
        public
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)
    };
    write().map_err(|error: std::io::Error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let remedy = if exists { "; no key is overwritten: name another file" } else { "" };
        Failure::Failed(format!("cannot write {}: {error}{remedy}", path.display()))
    })
}
