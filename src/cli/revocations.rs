//! `portcullis revocations`: list revocations, and lift them.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{AdminListener, shown, with_query};
use super::change::ChangeOptions;
use super::{Failure, table};
use crate::gate::revocation::RevocationId;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Revocations {
    /// List the revocations in force and the lifts, those that expire first at the top.
    List(List),
    /// Lift revocations of a user, a client or an issuer that were made by mistake.
    ///
    /// Tokens that they revoked and that have not expired are accepted again. Sessions and refresh
    /// tokens that they deleted do not come back: those users have to log in again. Revocations of
    /// a token, a session, a key or everything cannot be lifted.
    Lift(Lift),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Number of revocations to skip.
    #[arg(long, default_value_t = 0)]
    offset: u64,
    /// Number of revocations to list, at most 1000.
    #[arg(long, default_value_t = 100)]
    limit: u64,
    /// Print the gateway's answer as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

/// The arguments, exactly one of which is required.
const WHAT: &str = "What to lift (one of these)";

const EXAMPLES: &str = "\
Examples:
  Find the revocation, and lift it by the id in the first column:
    portcullis revocations list
    portcullis revocations lift 0123456789abcdef --reason 'wrong user'

  Lift every revocation of a user that names no issuer:
    portcullis revocations lift --subject user-42 --wait";

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true)), after_help = EXAMPLES)]
pub(super) struct Lift {
    /// Id of one revocation, as `revocations list` and `revoke --json` show it.
    #[arg(group = "what", help_heading = WHAT)]
    id: Option<String>,
    /// Lift all revocations of this user (`sub`): those that name no issuer or, with --issuer,
    /// those that name it.
    #[arg(long, group = "what", help_heading = WHAT, value_name = "SUB")]
    subject: Option<String>,
    /// Lift all revocations of this client.
    #[arg(long, group = "what", help_heading = WHAT, value_name = "ID")]
    client: Option<String>,
    /// Lift all revocations of this issuer, by its name in the configuration or its `iss`.
    #[arg(long, group = "what", help_heading = WHAT, value_name = "ISSUER")]
    issuer_all: Option<String>,
    /// Issuer of the user, by its name in the configuration or its `iss`.
    #[arg(long, requires = "subject", conflicts_with_all = ["id", "client", "issuer_all"])]
    issuer: Option<String>,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    admin: AdminListener,
}

impl Revocations {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::Lift(lift) => lift.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let Self { admin, offset, limit, json } = self;
        let path = format!("/v1/revocations?offset={offset}&limit={limit}");
        let answer = admin.find(TIMEOUT)?.fetch(&path, "revocations")?;
        if json {
            return table::print(&format!("{answer}\n"));
        }
        let of = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
        let (revocations, lifts) = (of("revocations"), of("lifts"));
        let rows = revocations.iter().map(row).chain(lifts.iter().map(row_of_lift));
        let header = ["ID", "SCOPE", "OF", "ISSUER", "ISSUED UNTIL", "EXPIRES", "ACTOR", "REASON"];
        let laid_out = table::lay_out(&header, rows.collect());
        let listed = revocations.len() + lifts.len();
        table::print(&format!("{laid_out}\n{listed} of {} revocations\n", answer["total"]))
    }
}

impl Lift {
    fn run(self) -> Result<(), Failure> {
        let Self { id, subject, client, issuer_all, issuer, change, admin } = self;
        let path = match &id {
            Some(id) if RevocationId::parse(id).is_none() => {
                let why = format!(
                    "portcullis: `{}` is not the id of a revocation; `portcullis revocations list` \
                     shows them",
                    shown(&json!(id))
                );
                return Err(Failure::BadInput(why));
            }
            Some(id) => format!("/v1/revocations/{id}"),
            None => "/v1/revocations".to_owned(),
        };
        let scope = match (&subject, &client, &issuer_all) {
            (Some(_), _, _) => Some("subject"),
            (_, Some(_), _) => Some("client"),
            (_, _, Some(_)) => Some("issuer"),
            (None, None, None) => None,
        };
        let named = [
            ("scope", scope.map(str::to_owned)),
            ("subject", subject),
            ("client", client),
            ("issuer", issuer.or(issuer_all)),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, json!(value?))));
        let fields: Vec<_> = named.chain(change.fields()?).collect();
        let admin = admin.find(change.patience()?)?;
        let answer = admin.delete(&with_query(&path, &fields), "lifts")?;
        change.tell(&answer, &describe(&answer))
    }
}

/// A sentence about what was done.
fn describe(answer: &Value) -> String {
    let of = of(answer).or_else(|| Some(shown(answer.get("issuer")?)));
    let of = of.map(|of| format!(" {of}")).unwrap_or_default();
    let count = match answer["lifts"].as_array().map(Vec::len) {
        Some(1) | None => "1 revocation".to_owned(),
        Some(count) => format!("{count} revocations"),
    };
    format!("lifted {count} of {}{of}", shown(&answer["scope"]))
}

fn of(record: &Value) -> Option<String> {
    let of = ["jti", "session", "subject", "client", "key"];
    of.iter().map(|name| &record[*name]).find(|value| !value.is_null()).map(shown)
}

fn row(record: &Value) -> Vec<String> {
    cells(shown(&record["id"]), shown(&record["scope"]), record)
}

/// What was lifted, by which operator, and why.
fn row_of_lift(lift: &Value) -> Vec<String> {
    let ids: Vec<_> = lift["lifts"].as_array().into_iter().flatten().map(shown).collect();
    let id = match ids.as_slice() {
        [] => "-".to_owned(),
        [id] => id.clone(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    };
    cells(id, format!("lifted {}", shown(&lift["scope"])), lift)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is serde_json's")]
fn cells(id: String, scope: String, record: &Value) -> Vec<String> {
    vec![
        id,
        scope,
        of(record).unwrap_or("-".to_owned()),
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
