//! `portcullis health`: for container health checks, where there is no other client.

use std::time::Duration;

use clap::Args;

use super::Failure;
use super::admin::AdminListener;
use crate::fetch::{Method, StatusCode};

const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    admin: AdminListener,
}

impl Health {
    pub(super) fn run(self) -> Result<(), Failure> {
        let admin = self.admin.find_probes(TIMEOUT)?;
        let failed = |error| {
            let whether = "is `portcullis serve` running, with this configuration?";
            Failure::Failed(format!("not ready: {error}; {whether}"))
        };
        match admin.ask(Method::GET, "/readyz", None).map_err(failed)? {
            (StatusCode::OK, _) => Ok(()),
            (status, word) => {
                let word = String::from_utf8_lossy(&word);
                let word = word.trim();
                Err(Failure::Failed(format!("not ready: the answer was {status}, `{word}`")))
            }
        }
    }
}
