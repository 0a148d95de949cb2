//! `portcullis keys`: generate key pairs; list and rotate the gateway's signing keys.

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
    /// Generate a key pair and write it to files; existing files are not overwritten.
    Generate(generate::Generate),
    /// List the gateway's signing keys and their states.
    ///
    /// States: `signing`; `next` is published and will sign; `retired` is published for as long as
    /// its tokens live; `revoked` is about to be dropped.
    List(list::List),
    /// Create the next signing key.
    ///
    /// The key is published at once and signs after `tokens.signing.publish_before`. To replace a
    /// leaked key, revoke it: the gateways then create another one by themselves.
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
