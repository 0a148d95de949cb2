//! `portcullis revoke`: revoke, and wait for the confirmation.

use std::io::Read;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use super::admin::{AdminListener, shown};
use super::change::ChangeOptions;

/// The options, exactly one of which is required.
const SCOPES: &str = "What to revoke (one of these)";

const EXAMPLES: &str = "\
Examples:
  A user lost their laptop; wait until every gateway has it:
    portcullis revoke --subject user-42 --reason 'lost laptop' --wait

  A token leaked; standard input keeps it out of the history of the shell:
    portcullis revoke --token - < leaked.jwt

  A signing key of an identity provider leaked:
    portcullis revoke --key 2026-11 --issuer corporate --wait

  A provider was broken into, and is safe again since two in the morning (UTC):
    portcullis revoke --issuer-all corporate --before 2026-12-01T02:00:00Z --wait

  Was it the wrong one? `portcullis revocations lift --help`.";

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("scope").required(true)), after_help = EXAMPLES)]
pub(super) struct Revoke {
    /// Revoke this token; `-` reads it from standard input.
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "JWT")]
    token: Option<String>,
    /// Revoke the token with this `jti`; needs --issuer.
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "ID", requires = "issuer")]
    jti: Option<String>,
    /// Revoke the session with this id, and every token that names it in `sid`.
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "ID", allow_hyphen_values = true)]
    session: Option<String>,
    /// Revoke everything issued to this user (`sub`): by any issuer, or by --issuer.
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "SUB")]
    subject: Option<String>,
    /// Revoke everything issued to this client (`client_id`, or the claim that
    /// `issuers[].claims.client` names).
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "ID")]
    client: Option<String>,
    /// Revoke everything signed with this key (`kid`), past and future: of any issuer, or of
    /// --issuer. With --before: what was issued until then.
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "KID")]
    key: Option<String>,
    /// Revoke everything that this issuer issued, by its name in the configuration or its `iss`.
    #[arg(long, group = "scope", help_heading = SCOPES, value_name = "ISSUER")]
    issuer_all: Option<String>,
    /// Revoke everything that any issuer issued: all users have to log in again.
    #[arg(long, group = "scope", help_heading = SCOPES)]
    everything: bool,
    /// Issuer of the token, user or key, by its name in the configuration or its `iss`.
    #[arg(long, conflicts_with_all = ["token", "session", "client", "issuer_all", "everything"])]
    issuer: Option<String>,
    /// Revoke what was issued until this time, instead of until now (RFC 3339, or seconds since
    /// 1970).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["token", "jti", "session"])]
    before: Option<String>,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    admin: AdminListener,
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let patience = self.change.patience()?;
        let body = self.body()?;
        let admin = self.admin.find(patience)?;
        let answer = admin.post("/v1/revocations", &body, "scope")?;
        self.change.tell(&answer, &describe(&answer))
    }

    fn body(&self) -> Result<Value, Failure> {
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
        let others = [("issuer", issuer.map(|issuer| json!(issuer))), ("before", seconds)];
        let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in others.chain(self.change.fields()?) {
            body.insert(name.to_owned(), value);
        }
        Ok(body.into())
    }
}

/// A sentence about what was done.
fn describe(answer: &Value) -> String {
    let of = ["jti", "session", "subject", "client", "key", "issuer"];
    let of = of.iter().map(|name| &answer[*name]).find(|value| !value.is_null());
    let of = of.map(|of| format!(" {}", shown(of))).unwrap_or_default();
    format!("revoked {}{of}", shown(&answer["scope"]))
}
