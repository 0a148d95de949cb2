//! `portcullis revocations`: who is cut off.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::admin::{AdminListener, shown};
use super::{Failure, table};

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Revocations {
    /// List the live revocations, those that expire first at the top.
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    admin: AdminListener,
    /// How many to skip.
    #[arg(long, default_value_t = 0)]
    offset: u64,
    /// How many to list, at most 1000.
    #[arg(long, default_value_t = 100)]
    limit: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Revocations {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::List(List { admin, offset, limit, json }) = self;
        let path = format!("/v1/revocations?offset={offset}&limit={limit}");
        let answer = admin.find(TIMEOUT)?.fetch(&path, "revocations")?;
        if json {
            return table::print(&format!("{answer}\n"));
        }
        let empty = Vec::new();
        let records = answer["revocations"].as_array().unwrap_or(&empty);
        let header = ["SCOPE", "OF", "ISSUER", "ISSUED UNTIL", "EXPIRES", "ACTOR", "REASON"];
        let laid_out = table::lay_out(&header, records.iter().map(row).collect());
        let listed = records.len();
        table::print(&format!("{laid_out}\n{listed} of {} revocations\n", answer["total"]))
    }
}

fn row(record: &Value) -> Vec<String> {
    let of = ["jti", "session", "subject", "client", "key"];
    let of = of.iter().map(|name| &record[*name]).find(|value| !value.is_null());
    vec![
        shown(&record["scope"]),
        of.map_or("-".to_owned(), shown),
        shown(&record["issuer"]),
        match &record["issued_until"] {
            Value::Null => "ever".to_owned(),
            date => shown(date),
        },
        match &record["expires_at"] {
            Value::Null => "never".to_owned(),
            date => shown(date),
        },
        shown(&record["actor"]),
        shown(&record["reason"]),
    ]
}
