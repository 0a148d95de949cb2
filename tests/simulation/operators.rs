//! Operators who cut off, and a watch that shows what was cut off and what was not, everywhere.

use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::history::{Deed, Event, Heard, Route, Shown, Target};
use super::members::{Member, Recipient};
use super::people::{PEOPLE, any_of, mint, probe, visit};
use super::site::Site;
use super::talk::{self, Reply, heard, request};
use crate::harness::tokens::bearer;

/// How long an operator waits for confirmation, in milliseconds.
const WAIT_MS: u64 = 1_500;

/// Cuts something off, rotates the keys, or looks around.
pub(super) fn operate(site: &Site, rng: &mut Rng) {
    let Some(recipient) = site.recipient(rng) else { return sleep(Duration::from_millis(50)) };
    let login = {
        let logins = &site.history.record().logins;
        (!logins.is_empty()).then(|| rng.usize(..logins.len()))
    };
    let waits = rng.bool();
    match (rng.u8(..14), login) {
        (0..3, _) => {
            let token = old_enough(site, rng);
            revoke(site, &recipient, Target::Token(Shown::Foreign(token)), waits);
        }
        (3..5, Some(login)) => {
            let shown = any_of(&site.history.record().logins, login, rng);
            if let Shown::Access(..) = shown {
                revoke(site, &recipient, Target::Token(shown), waits);
            }
        }
        (5..7, Some(login)) => revoke(site, &recipient, Target::Session(login), waits),
        (7..11, _) => revoke(site, &recipient, Target::Subject(rng.usize(..PEOPLE.len())), waits),
        (11, Some(login)) => {
            let session = site.history.record().logins[login].session.clone();
            end(site, &recipient, &format!("/v1/sessions/{session}"), Deed::EndSession { login });
        }
        (12, _) => {
            let subject = rng.usize(..PEOPLE.len());
            let path = format!("/v1/sessions?subject={}", PEOPLE[subject].1);
            end(site, &recipient, &path, Deed::EndSessions { subject });
        }
        _ => {
            let body = json!({ "now": rng.bool() });
            let from = site.history.now();
            let answer = admin(&recipient, "POST", "/v1/keys/rotate", &body);
            site.history.happened(from, recipient.place, Deed::RotateKeys, answer);
        }
    }
}

/// A foreign token, perhaps a new one.
fn old_enough(site: &Site, rng: &mut Rng) -> usize {
    let count = site.history.record().foreign.len();
    if count == 0 || (count < 12 && rng.bool()) {
        let is_odd = site.setting.offsets_s.iter().any(|offset| *offset != 0);
        return mint(site, rng.usize(..PEOPLE.len()), if is_odd { 700 } else { rng.i64(1..30) });
    }
    rng.usize(..count)
}

pub(super) fn revoke(site: &Site, recipient: &Recipient, target: Target, waits: bool) {
    let mut draft = {
        let record = site.history.record();
        match target {
            Target::Token(Shown::Foreign(number)) => {
                json!({ "scope": "token", "token": record.foreign[number].text })
            }
            Target::Token(Shown::Access(login, nth)) => {
                json!({ "scope": "token", "token": record.logins[login].pairs[nth].access })
            }
            Target::Token(Shown::Cookie(login)) | Target::Session(login) => {
                json!({ "scope": "session", "session": record.logins[login].session })
            }
            Target::Subject(subject) => json!({ "scope": "subject", "subject": PEOPLE[subject].1 }),
        }
    };
    if waits {
        draft["wait_ms"] = json!(WAIT_MS);
    }
    let from = site.history.now();
    let answer = admin(recipient, "POST", "/v1/revocations", &draft);
    site.history.happened(from, recipient.place, Deed::Revoke { target, waits }, answer);
}

fn end(site: &Site, recipient: &Recipient, path: &str, deed: Deed) {
    let from = site.history.now();
    let answer = admin(recipient, "DELETE", path, &Value::Null);
    site.history.happened(from, recipient.place, deed, answer);
}

fn admin(recipient: &Recipient, method: &str, path: &str, body: &Value) -> Heard {
    heard(ask(recipient, method, path, body).as_ref())
}

/// What the admin API lists.
pub(super) fn list(recipient: &Recipient, path: &str) -> String {
    ask(recipient, "GET", path, &Value::Null)
        .map_or(String::new(), |reply| reply.json().to_string())
}

/// Whether all gateways have read all of the log, as far as one of them knows.
pub(super) fn all_follow(recipient: &Recipient) -> bool {
    let told = ask(recipient, "GET", "/v1/gateways", &Value::Null).map(|reply| reply.json());
    let told = told.unwrap_or_default();
    told["gateways"].as_array().is_some_and(|gateways| {
        gateways.iter().all(|one| {
            let is_heard = one["silent_ms"].as_u64().is_some_and(|ms| ms < 1_500);
            is_heard && one["follows"] == true && one["lag"] == 0
        })
    })
}

fn ask(recipient: &Recipient, method: &str, path: &str, body: &Value) -> Option<Reply> {
    let (address, token) = recipient.admin();
    let authorization = bearer(&token);
    let fields = [
        ("Host", "localhost"),
        ("Content-Type", "application/json"),
        ("Authorization", &authorization),
    ];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    talk::ask(address, &request(method, path, &fields, &body))
}

/// Shows a credential at all gateways, or looks whether one is ready.
pub(super) fn watch(site: &Site, rng: &mut Rng) {
    if rng.u8(..8) == 0 {
        let Some(recipient) = site.recipient(rng) else { return };
        probe(site, &recipient);
        return;
    }
    let Some(shown) = latest(site, rng).or_else(|| any(site, rng)) else { return };
    let route = if rng.u8(..4) == 0 { Route::ALL[rng.usize(..4)] } else { Route::Deny };
    for recipient in site.members.iter().filter_map(Member::recipient) {
        visit(site, &recipient, shown, route);
    }
}

/// A credential that was cut off lately, every other time.
fn latest(site: &Site, rng: &mut Rng) -> Option<Shown> {
    let record = site.history.record();
    let is_done = |event: &&Event| matches!(event.heard.status(), Some(200 | 201 | 204));
    let ended: Vec<_> =
        record.events.iter().rev().filter(is_done).filter_map(ended).take(4).collect();
    if ended.is_empty() || rng.bool() {
        return None;
    }
    let login = match ended[rng.usize(..ended.len())] {
        Target::Token(shown) => return Some(shown),
        Target::Session(login) => login,
        Target::Subject(subject) => {
            record.logins.iter().rposition(|login| login.subject == subject)?
        }
    };
    Some(any_of(&record.logins, login, rng))
}

fn ended(event: &Event) -> Option<Target> {
    match event.deed {
        Deed::Revoke { target, .. } => Some(target),
        Deed::LogOut { login } | Deed::LogOutEverywhere { login } | Deed::EndSession { login } => {
            Some(Target::Session(login))
        }
        Deed::EndSessions { subject } => Some(Target::Subject(subject)),
        Deed::LogIn { .. }
        | Deed::Visit { .. }
        | Deed::Refresh { .. }
        | Deed::Reuse { .. }
        | Deed::GiveBack { .. }
        | Deed::RotateKeys
        | Deed::ShowAssertion { .. }
        | Deed::Probe => None,
    }
}

/// Any credential, the later ones more often.
fn any(site: &Site, rng: &mut Rng) -> Option<Shown> {
    if rng.u8(..4) == 0 {
        return Some(Shown::Foreign(old_enough(site, rng)));
    }
    let record = site.history.record();
    let count = record.logins.len();
    let first = if rng.bool() { count.saturating_sub(6) } else { 0 };
    (count > 0).then(|| any_of(&record.logins, rng.usize(first..count), rng))
}
