//! `portcullis keys`: make key pairs; the gateway's own signing keys, and another one.

mod generate;
mod list;
mod rotate;

use std::time::Duration;

use clap::Subcommand;

use super::admin::AdminListener;
use super::{Failure, admin, table};

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key pair and write it to files; existing files are left alone.
    Generate(generate::Generate),
    /// List the gateway's own signing keys: which signs, which comes next, which is only published.
    List(list::List),
    /// Make the next signing key.
    Rotate(rotate::Rotate),
}

impl Keys {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Generate(generate) => generate.run(),
            Self::List(list) => list.run(),
            Self::Rotate(rotate) => rotate.run(),
        }
    }
}
