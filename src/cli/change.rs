//! The common options of the commands that revoke: the operator, the reason, and whether to wait
//! for the gateways.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::admin::shown;
use super::{Failure, table};
use crate::config;

/// How long the gateway may take to answer, in addition to the wait that is asked for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long `--wait` waits without a value.
const WAIT_DEFAULT: &str = "5s";

#[derive(Debug, Args)]
pub(super) struct ChangeOptions {
    /// Reason, for the audit log.
    #[arg(long)]
    reason: Option<String>,
    /// Name of the operator, for the audit log.
    #[arg(long, env = "USER")]
    actor: Option<String>,
    /// Wait until every gateway has applied the change, for 5s or DURATION (such as 500ms or 2s).
    /// Exit code 1, with the names of the gateways, if some have not.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = WAIT_DEFAULT)]
    wait: Option<String>,
    /// Print the gateway's answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl ChangeOptions {
    /// How long to wait for the gateways, if at all.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Failure> {
        let wait = self.wait.as_ref().map(|text| {
            config::duration(text).ok_or_else(|| {
                Failure::BadInput(format!("`{text}` is not a duration: write 500ms, 2s …"))
            })
        });
        wait.transpose()
    }

    /// How long the response may take in all.
    pub(super) fn patience(&self) -> Result<Duration, Failure> {
        Ok(TIMEOUT + self.wait()?.unwrap_or_default())
    }

    /// The fields of the request, by name.
    pub(super) fn fields(&self) -> Result<Vec<(&'static str, Value)>, Failure> {
        let fields = [
            ("reason", self.reason.as_ref().map(|reason| json!(reason))),
            ("actor", self.actor.as_ref().map(|actor| json!(actor))),
            ("wait_ms", self.wait()?.map(|wait| json!(wait.as_millis() as u64))),
        ];
        Ok(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// Prints the result: `done` says what was done, to what. Fails if the command was to wait for
    /// confirmation and some gateways have not confirmed.
    pub(super) fn tell(self, answer: &Value, done: &str) -> Result<(), Failure> {
        let text = if self.json { format!("{answer}\n") } else { describe(answer, done) };
        table::print(&text)?;
        match (self.wait, Unconfirmed::of(answer)) {
            (Some(_), Some(unconfirmed)) => Err(Failure::Failed(unconfirmed.0)),
            (_, _) => Ok(()),
        }
    }
}

/// Why it is not certain that every gateway has applied it.
struct Unconfirmed(String);

impl Unconfirmed {
    fn of(answer: &Value) -> Option<Self> {
        if answer["durable"] != json!(true) {
            let why = "the store cannot be reached: only the gateway that was asked has applied it";
            return Some(Self(why.to_owned()));
        }
        if let Some(why) = answer["unconfirmed"].as_str() {
            return Some(Self(format!("it is not known which gateways have applied it: {why}")));
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

fn describe(answer: &Value, done: &str) -> String {
    let mut text = match answer["position"].as_u64() {
        Some(position) => format!("{done} (position {position})\n"),
        None => format!("{done} on this gateway only, NOT durable yet\n"),
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
