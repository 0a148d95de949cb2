//! `portcullis keys list`.

use clap::Args;
use serde_json::Value;

use super::admin::shown;
use super::{AdminListener, Failure, TIMEOUT, table};

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Print the gateway's answer as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = self.admin.find(TIMEOUT)?.fetch("/v1/keys", "keys")?;
        if self.json {
            return table::print(&format!("{answer}\n"));
        }
        let rows = answer["keys"].as_array().into_iter().flatten().map(row).collect();
        let header = ["ID", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM", "DROPPED AT"];
        table::print(&table::lay_out(&header, rows))
    }
}

fn row(key: &Value) -> Vec<String> {
    let names = ["id", "algorithm", "state", "created_at", "signs_from", "retires_at"];
    names.map(|name| shown(&key[name])).into()
}
