//! `portcullis sessions`: list the sessions of a user, and end them.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{AdminListener, shown, with_query};
use super::change::ChangeOptions;
use super::{Failure, table};
use crate::gate::session::SessionId;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a `User-Agent` is shown, in characters: its beginning identifies the client.
const USER_AGENT_CHARS_MAX: usize = 40;

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List the sessions of a user, the latest login first.
    List(List),
    /// End one session, or all sessions of a user, on every gateway.
    End(End),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// User whose sessions are listed (`sub`).
    #[arg(long, value_name = "SUB")]
    subject: String,
    /// Issuer of the user, by its name in the configuration or its `iss` [default: `login.issuer`].
    #[arg(long)]
    issuer: Option<String>,
    /// Print the gateway's answer as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminListener,
}

/// The arguments, exactly one of which is required.
const WHOM: &str = "What to end (one of these)";

const EXAMPLES: &str = "\
Examples:
  Log a user out everywhere, and wait until every gateway has it:
    portcullis sessions end --subject user-42 --reason 'lost laptop' --wait

  End one session; the id is in the first column of the list:
    portcullis sessions list --subject user-42
    portcullis sessions end SESSION_ID";

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true)), after_help = EXAMPLES)]
pub(super) struct End {
    /// Id of one session, as `sessions list` shows it; not the value of its cookie.
    // One id in 64 begins with a hyphen.
    #[arg(group = "whom", help_heading = WHOM, allow_hyphen_values = true)]
    id: Option<String>,
    /// End all sessions of this user (`sub`), and revoke everything else that their issuer issued
    /// to them.
    #[arg(long, group = "whom", help_heading = WHOM, value_name = "SUB")]
    subject: Option<String>,
    /// Issuer of the user, by its name in the configuration or its `iss` [default: `login.issuer`].
    #[arg(long, requires = "subject", conflicts_with = "id")]
    issuer: Option<String>,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    admin: AdminListener,
}

impl Sessions {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::End(end) => end.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let path = with_query("/v1/sessions", &whose(Some(&self.subject), self.issuer.as_ref()));
        let answer = self.admin.find(TIMEOUT)?.fetch(&path, "sessions")?;
        if self.json {
            return table::print(&format!("{answer}\n"));
        }
        let rows: Vec<_> = answer["sessions"].as_array().into_iter().flatten().map(row).collect();
        if rows.is_empty() {
            return table::print("no sessions\n");
        }
        let header = ["ID", "LOGGED IN", "LAST SEEN", "ENDS", "ADDRESS", "USER AGENT"];
        table::print(&table::lay_out(&header, rows))
    }
}

impl End {
    fn run(self) -> Result<(), Failure> {
        let Self { id, subject, issuer, change, admin } = self;
        let mut fields = whose(subject.as_ref(), issuer.as_ref());
        fields.extend(change.fields()?);
        let path = match id {
            // The rejected text is not repeated: it may be a secret.
            Some(id) if SessionId::parse(&id).is_none() => {
                let why = "portcullis: this is not the id of a session; \
                           `portcullis sessions list` shows them";
                return Err(Failure::BadInput(why.to_owned()));
            }
            Some(id) => format!("/v1/sessions/{id}"),
            None => "/v1/sessions".to_owned(),
        };
        let admin = admin.find(change.patience()?)?;
        let answer = admin.delete(&with_query(&path, &fields), "scope")?;
        change.tell(&answer, &describe(&answer))
    }
}

fn whose(subject: Option<&String>, issuer: Option<&String>) -> Vec<(&'static str, Value)> {
    let fields = [("subject", subject), ("issuer", issuer)];
    fields.into_iter().filter_map(|(name, value)| Some((name, json!(value?)))).collect()
}

fn row(session: &Value) -> Vec<String> {
    let names = ["id", "created_at", "last_seen_at", "expires_at", "address"];
    let mut cells: Vec<_> = names.map(|name| shown(&session[name])).into();
    cells.push(shortened(&shown(&session["user_agent"])));
    cells
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(USER_AGENT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A sentence about what was done.
fn describe(answer: &Value) -> String {
    if !answer["session"].is_null() {
        return format!("ended session {}", shown(&answer["session"]));
    }
    let subject = shown(&answer["subject"]);
    match answer["ended"].as_u64() {
        Some(1) => format!("ended 1 session of {subject}"),
        Some(ended) => format!("ended {ended} sessions of {subject}"),
        None => format!("ended the sessions of {subject}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_long_user_agent_is_shown() {
        let long = "é".repeat(USER_AGENT_CHARS_MAX);
        assert_eq!(shortened(&long), long);
        assert_eq!(shortened(&format!("{long}x")), format!("{long}…"));
    }

    #[test]
    fn what_was_ended_is_counted() {
        for (answer, told) in [
            (json!({"session": "s", "subject": "alice"}), "ended session s"),
            (json!({"subject": "alice", "ended": 0}), "ended 0 sessions of alice"),
            (json!({"subject": "alice", "ended": 1}), "ended 1 session of alice"),
            (json!({"subject": "alice", "ended": 2}), "ended 2 sessions of alice"),
            (json!({"subject": "alice", "ended": null}), "ended the sessions of alice"),
        ] {
            assert_eq!(describe(&answer), told);
        }
    }
}
