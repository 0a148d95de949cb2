//! `portcullis revoke`: cut off, and see it confirmed.

use std::io::Read;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::admin::{AdminListener, shown};
use super::{Failure, table};
use crate::config;

/// How long the gateway may take to answer, beside what it is told to wait.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long `--wait` waits if it does not say.
const WAIT_DEFAULT: &str = "5s";

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("scope").required(true)))]
pub(super) struct Revoke {
    /// One token, as a whole; `-` reads it from standard input.
    #[arg(long, group = "scope", value_name = "JWT")]
    token: Option<String>,
    /// One token, by its `jti`; needs --issuer.
    #[arg(long, group = "scope", value_name = "ID", requires = "issuer")]
    jti: Option<String>,
    /// One session, by its `sid`.
    #[arg(long, group = "scope", value_name = "ID")]
    session: Option<String>,
    /// Everything issued to this `sub`, by anybody or by --issuer.
    #[arg(long, group = "scope", value_name = "SUB")]
    subject: Option<String>,
    /// Everything issued to this `client_id`.
    #[arg(long, group = "scope", value_name = "ID")]
    client: Option<String>,
    /// Everything signed with this key (`kid`), of anybody or of --issuer, from now on too.
    #[arg(long, group = "scope", value_name = "KID")]
    key: Option<String>,
    /// Everything that this issuer issued.
    #[arg(long, group = "scope", value_name = "ISSUER")]
    issuer_all: Option<String>,
    /// Everything that anybody issued.
    #[arg(long, group = "scope")]
    everything: bool,
    /// The issuer, by its name in the configuration or its `iss`.
    #[arg(long, conflicts_with_all = ["token", "session", "client", "issuer_all", "everything"])]
    issuer: Option<String>,
    /// Cut off what was issued until then (RFC 3339, or seconds since 1970) and not until now.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["token", "jti", "session"])]
    before: Option<String>,
    /// Why; for the log.
    #[arg(long)]
    reason: Option<String>,
    /// Who; for the log.
    #[arg(long, env = "USER")]
    actor: Option<String>,
    /// Wait until every gateway has applied it; fail if one has not.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = WAIT_DEFAULT)]
    wait: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let wait = match &self.wait {
            None => None,
            Some(text) => Some(config::duration(text).ok_or_else(|| {
                Failure::BadInput(format!("`{text}` is not a duration: write 500ms, 2s …"))
            })?),
        };
        let body = self.body(wait)?;
        let admin = self.admin.find(TIMEOUT + wait.unwrap_or_default())?;
        let answer = admin.ask_for_json("/v1/revocations", Some(&body), "scope")?;
        let text = if self.json { format!("{answer}\n") } else { describe(&answer) };
        table::print(&text)?;
        match (wait, Unconfirmed::of(&answer)) {
            (Some(_), Some(unconfirmed)) => Err(Failure::Failed(unconfirmed.0)),
            (_, _) => Ok(()),
        }
    }

    fn body(&self, wait: Option<Duration>) -> Result<Value, Failure> {
        let token = match self.token.as_deref() {
            Some("-") => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text).map_err(Failure::failed)?;
                Some(text.trim().to_owned())
            }
            other => other.map(str::to_owned),
        };
        let issuer = self.issuer.as_ref().or(self.issuer_all.as_ref());
        let scopes = [
            ("token", "token", token.as_ref()),
            ("token", "jti", self.jti.as_ref()),
            ("session", "session", self.session.as_ref()),
            ("subject", "subject", self.subject.as_ref()),
            ("client", "client", self.client.as_ref()),
            ("key", "key", self.key.as_ref()),
            ("issuer", "issuer", self.issuer_all.as_ref()),
        ];
        let mut body = Map::new();
        let named = scopes.iter().find_map(|(scope, field, value)| Some((scope, field, (*value)?)));
        match named {
            Some((scope, field, value)) => {
                body.insert("scope".to_owned(), json!(scope));
                body.insert((*field).to_owned(), json!(value));
            }
            None => {
                body.insert("scope".to_owned(), json!("everything"));
            }
        }
        let seconds = self.before.as_ref().map(|text| match text.parse::<i64>() {
            Ok(seconds) => json!(seconds),
            Err(_) => json!(text),
        });
        let others = [
            ("issuer", issuer.map(|issuer| json!(issuer))),
            ("before", seconds),
            ("reason", self.reason.as_ref().map(|reason| json!(reason))),
            ("actor", self.actor.as_ref().map(|actor| json!(actor))),
            ("wait_ms", wait.map(|wait| json!(wait.as_millis() as u64))),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        }
        Ok(body.into())
    }
}

/// Why nobody can say that every gateway has applied it.
struct Unconfirmed(String);

impl Unconfirmed {
    fn of(answer: &Value) -> Option<Self> {
        if answer["durable"] != json!(true) {
            let why = "the store cannot be reached: only the gateway that was asked has applied it";
            return Some(Self(why.to_owned()));
        }
        if let Some(why) = answer["unconfirmed"].as_str() {
            return Some(Self(format!("nobody knows which gateways have applied it: {why}")));
        }
        if answer["confirmed"] == answer["gateways"] && answer["gateways"] != json!(0) {
            return None;
        }
        let empty = Vec::new();
        let missing: Vec<_> = answer["missing"]
            .as_array()
            .unwrap_or(&empty)
            .iter()
            .map(|gateway| {
                let silent_ms = gateway["silent_ms"].as_u64().unwrap_or(0);
                let seconds = silent_ms as f64 / 1000.0;
                let name = shown(&gateway["name"]);
                format!("{name} ({}, silent for {seconds:.1}s)", shown(&gateway["id"]))
            })
            .collect();
        Some(Self(format!("not confirmed by {}", missing.join(", "))))
    }
}

fn describe(answer: &Value) -> String {
    let of = ["jti", "session", "subject", "client", "key", "issuer"];
    let of = of.iter().map(|name| &answer[*name]).find(|value| !value.is_null());
    let of = of.map(|of| format!(" {}", shown(of))).unwrap_or_default();
    let scope = shown(&answer["scope"]);
    let mut text = match answer["position"].as_u64() {
        Some(position) => format!("revoked {scope}{of} (position {position})\n"),
        None => format!("revoked {scope}{of} on this gateway only, NOT durable yet\n"),
    };
    if !answer["confirmed"].is_null() {
        let (confirmed, gateways) = (&answer["confirmed"], &answer["gateways"]);
        let elapsed = &answer["elapsed_ms"];
        text.push_str(&format!(
            "confirmed on {confirmed} of {gateways} gateways in {elapsed} ms\n"
        ));
    }
    text
}
