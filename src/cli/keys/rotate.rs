//! `portcullis keys rotate`.

use clap::Args;
use serde_json::json;

use super::admin::shown;
use super::{AdminListener, Failure, TIMEOUT, table};

const EXAMPLES: &str = "\
Examples:
  Plan a rotation; the key signs once everybody had time to fetch it:
    portcullis keys rotate --reason 'every quarter'

  The signing key leaked: revoke it, which also replaces it:
    portcullis keys list
    portcullis revoke --key KEY_ID --issuer gateway --wait";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Rotate {
    /// Sign with the new key at once. Services that cache the published keys refuse its tokens
    /// until they fetch them again.
    #[arg(long)]
    now: bool,
    /// Reason, for the audit log.
    #[arg(long)]
    reason: Option<String>,
    /// Name of the operator, for the audit log.
    #[arg(long, env = "USER")]
    actor: Option<String>,
    /// Print the gateway's answer as one line of JSON.
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
