//! `portcullis api-keys`: keys for those who cannot do OAuth.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{AdminListener, shown, with_query};
use super::change::Change;
use super::token::typed_claims;
use super::{Failure, table};
use crate::gate::session::SessionId;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum ApiKeys {
    /// Make a key. It is printed once, and never again.
    Create(Create),
    /// List the keys that can be used, the latest first.
    List(List),
    /// Revoke a key, now.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Whose key it is: `sub`, as upstreams are told.
    #[arg(long, value_name = "SUB")]
    subject: String,
    /// What people call it.
    #[arg(long)]
    label: Option<String>,
    /// A scope; may be given several times.
    #[arg(long)]
    scope: Vec<String>,
    /// A role; may be given several times.
    #[arg(long)]
    role: Vec<String>,
    /// Another claim, as NAME=VALUE; the value is JSON, or else a string.
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// How long it is good for, if not `api_keys.max_lifetime`.
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
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

#[derive(Debug, Args)]
pub(super) struct List {
    /// Whose keys, by `sub`; everybody's, if it is not said.
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The key, by its id as `api-keys list` shows it; not the key itself.
    // One id in 64 begins with a hyphen.
    #[arg(allow_hyphen_values = true)]
    id: String,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    admin: AdminListener,
}

impl ApiKeys {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(),
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let claims = typed_claims(&self.claim)?;
        let Self { subject, label, scope, role, expires, reason, actor, json, admin, .. } = self;
        let mut wanted = json!({
            "subject": subject,
            "scopes": scope,
            "roles": role,
            "claims": claims,
        });
        let more =
            [("label", label), ("expires_in", expires), ("reason", reason), ("actor", actor)];
        for (name, value) in more {
            if let Some(value) = value {
                wanted[name] = json!(value);
            }
        }
        let answer = admin.find(TIMEOUT)?.post("/v1/api-keys", &wanted, "key")?;
        if json {
            return table::print(&format!("{answer}\n"));
        }
        // The key alone goes where a script can take it.
        let told = ["id", "subject", "expires_at"].map(|name| shown(&answer[name]));
        let [id, subject, expires] = told;
        eprintln!("API key {id} of {subject}, good until {expires}. It is not shown again:");
        table::print(&format!("{}\n", shown(&answer["key"])))
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let fields: Vec<_> =
            self.subject.iter().map(|subject| ("subject", json!(subject))).collect();
        let path = with_query("/v1/api-keys", &fields);
        let answer = self.admin.find(TIMEOUT)?.fetch(&path, "api_keys")?;
        if self.json {
            return table::print(&format!("{answer}\n"));
        }
        let rows: Vec<_> = answer["api_keys"].as_array().into_iter().flatten().map(row).collect();
        if rows.is_empty() {
            return table::print("no API keys\n");
        }
        let header = ["ID", "SUBJECT", "LABEL", "CREATED", "LAST USED", "EXPIRES", "SCOPES"];
        table::print(&table::lay_out(&header, rows))
    }
}

impl Revoke {
    fn run(self) -> Result<(), Failure> {
        let Self { id, change, admin } = self;
        if SessionId::parse(&id).is_none() {
            // What is refused is not repeated: it may be a secret.
            let why = "portcullis: this is not the id of an API key; \
                       `portcullis api-keys list` shows them";
            return Err(Failure::BadInput(why.to_owned()));
        }
        let admin = admin.find(change.patience()?)?;
        let path = with_query(&format!("/v1/api-keys/{id}"), &change.fields()?);
        let answer = admin.delete(&path, "scope")?;
        let (id, subject) = (shown(&answer["api_key"]), shown(&answer["subject"]));
        change.tell(&answer, &format!("revoked API key {id} of {subject}"))
    }
}

fn row(key: &Value) -> Vec<String> {
    let names = ["id", "subject", "label", "created_at", "last_used_at", "expires_at"];
    let mut cells: Vec<_> = names
        .map(|name| if key[name].is_null() { "never".to_owned() } else { shown(&key[name]) })
        .into();
    let scopes = key["scopes"].as_array().into_iter().flatten().map(shown);
    cells.push(scopes.collect::<Vec<_>>().join(" "));
    cells
}
