//! `portcullis gateways`: which gateways follow the revocation log, and how far each has read.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::admin::{AdminListener, shown};
use super::{Failure, table};

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Gateways {
    /// Print the gateway's answer as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

impl Gateways {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = self.admin.find(TIMEOUT)?.fetch("/v1/gateways", "gateways")?;
        if self.json {
            return table::print(&format!("{answer}\n"));
        }
        let empty = Vec::new();
        let gateways = answer["gateways"].as_array().unwrap_or(&empty);
        let rows = gateways.iter().map(row).collect();
        let header = ["ID", "NAME", "VERSION", "POSITION", "LAG", "SILENT", "CLOCK", "DIFFERS IN"];
        table::print(&table::lay_out(&header, rows))
    }
}

fn row(gateway: &Value) -> Vec<String> {
    let silent_ms = gateway["silent_ms"].as_u64().unwrap_or(0);
    let silent = format!("{:.1}s", silent_ms as f64 / 1000.0);
    let mut cells: Vec<_> =
        ["id", "name", "version", "position", "lag"].map(|name| shown(&gateway[name])).into();
    cells.push(silent);
    cells.push(match gateway["clock_ahead_ms"].as_i64() {
        Some(ahead_ms) => format!("{:+.1}s", ahead_ms as f64 / 1000.0),
        None => "-".to_owned(),
    });
    let fields = gateway["differs_in"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fields: Vec<_> = fields.iter().map(shown).collect();
    cells.push(if fields.is_empty() { "-".to_owned() } else { fields.join(",") });
    cells
}
