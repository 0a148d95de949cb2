//! `portcullis keys`: make key pairs.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::Failure;
use crate::issuer::signing::{self, KeyKind};

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key pair and write it to two files; existing files are left alone.
    Generate(Generate),
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// What the key is for.
    #[arg(long, value_enum, default_value_t = Algorithm::Es256)]
    algorithm: Algorithm,
    /// Where the private key goes (PKCS#8 in PEM, readable by the owner only).
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// Where the public key goes (PEM).
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
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

impl Keys {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Generate(generate) => generate.run(),
        }
    }
}

impl Generate {
    fn run(self) -> Result<(), Failure> {
        let kind = match self.algorithm {
            Algorithm::Es256 => KeyKind::P256,
            Algorithm::Es384 => KeyKind::P384,
            Algorithm::Rs256 => KeyKind::Rsa,
            Algorithm::EdDsa => KeyKind::Ed25519,
        };
        let pair = signing::generate(kind).map_err(Failure::failed)?;
        write_new(&self.private_key, pair.private.as_bytes(), 0o600)?;
        let public = write_new(&self.public_key, pair.public.as_bytes(), 0o644);
        if public.is_err() {
            // Half a pair is of no use, and would be in the way of the next try.
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
        Failure::Failed(format!("cannot write {}: {error}", path.display()))
    })
}
