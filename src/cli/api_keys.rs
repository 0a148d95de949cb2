//! `portcullis api-keys`: keys for clients that cannot use OAuth.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{AdminListener, shown, with_query};
use super::change::ChangeOptions;
use super::token::typed_claims;
use super::{Failure, table};
use crate::gate::session::SessionId;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum ApiKeys {
    /// Create an API key, and print it once.
    ///
    /// The key cannot be shown again: the gateway stores its digest only.
    Create(Create),
    /// List the API keys that can be used, newest first.
    List(List),
    /// Revoke an API key on every gateway.
    Revoke(Revoke),
}

const EXAMPLES: &str = "\
Examples:
  A key for an importer that may read orders, for a month:
    portcullis api-keys create --subject importer --scope orders:read --expires 30d

  The key alone, for a file that only you can read:
    (umask 077; portcullis api-keys create --subject importer > importer.key)";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Create {
    /// Owner of the key: the `sub` that upstreams receive.
    #[arg(long, value_name = "SUB")]
    subject: String,
    /// Name of the key, for people; `api-keys list` shows it.
    #[arg(long)]
    label: Option<String>,
    /// Scope of the key; repeat for several.
    #[arg(long)]
    scope: Vec<String>,
    /// Role of the key; repeat for several.
    #[arg(long)]
    role: Vec<String>,
    /// Another claim of the key; repeat for several. VALUE is JSON, or else taken as a string.
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// Lifetime of the key, such as 12h or 90d [default: `api_keys.max_lifetime`, which is also
    /// the maximum].
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
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

#[derive(Debug, Args)]
pub(super) struct List {
    /// Owner whose keys are listed (`sub`) [default: all owners].
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
    /// Print the gateway's answer as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Id of the key, as `api-keys list` shows it; not the key itself.
    // One id in 64 begins with a hyphen.
    #[arg(allow_hyphen_values = true)]
    id: String,
    #[command(flatten)]
    change: ChangeOptions,
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
        // The key alone goes to standard output, where a script can read it.
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
            // The rejected text is not repeated: it may be a secret.
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
