//! `portcullis keys rotate`.

use clap::Args;
use serde_json::json;

use super::admin::shown;
use super::{AdminListener, Failure, TIMEOUT, table};

#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    /// Let it sign at once: who has the published keys in a cache does not know it yet.
    #[arg(long)]
    now: bool,
    /// Why; for the log.
    #[arg(long)]
    reason: Option<String>,
    /// Who; for the log.
    #[arg(long, env = "USER")]
    actor: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

impl Rotate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { now, reason, actor, json, admin } = self;
        let mut wanted = json!({ "now": now });
        for (name, value) in [("reason", reason), ("actor", actor)] {
            if let Some(value) = value {
                wanted[name] = json!(value);
            }
        }
        let answer = admin.find(TIMEOUT)?.post("/v1/keys/rotate", &wanted, "signs_from")?;
        if json {
            return table::print(&format!("{answer}\n"));
        }
        let (id, from) = (shown(&answer["id"]), shown(&answer["signs_from"]));
        table::print(&format!("key {id} is published, and signs from {from} on\n"))
    }
}
