//! Makes records of the revocation log for the end of sessions.

use std::fmt;

use crate::clock;
use crate::config::login::Users;
use crate::gate::revocation::{Entry, Scope};
use crate::gate::session::{SessionId, SessionRecord};
use crate::gate::time::UnixTime;
use crate::runtime::Running;
use crate::store::login_end::LoginEnd;
use crate::store::record::{Owner, Record};
use crate::store::session_end::SessionEnd;

/// How much of an actor's name is kept, in bytes.
const ACTOR_BYTES_MAX: usize = 128;

/// How long a gateway may remember a session that is gone from the store, in seconds: it reads it
/// again after an hour at most.
const REMEMBERED_S: i64 = 2 * 3600;

/// The actor in records that the gateway makes on its own.
pub(crate) const GATEWAY: &str = "gateway";

/// Who ends something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Actor<'a> {
    /// The user to whom it belongs.
    Subject(&'a str),
    /// The client to which its tokens were issued.
    Client(&'a str),
    /// The gateway, on its own.
    Gateway,
}

/// The account to which an ended login or token belongs: the issuer, the subject, and when it
/// began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    issuer: Box<str>,
    subject: Box<str>,
    dated: UnixTime,
}

impl Account {
    /// The account of a subject, for the end of something that began at `dated`.
    pub(crate) fn new(issuer: &str, subject: &str, dated: UnixTime) -> Self {
        Self { issuer: issuer.into(), subject: subject.into(), dated }
    }

    /// The account of a login.
    pub(crate) fn of(record: &SessionRecord) -> Self {
        Self::new(&record.issuer, &record.subject, record.created)
    }

    fn owner(&self, until: UnixTime) -> Owner {
        let Self { issuer, subject, dated } = self.clone();
        Owner { issuer, subject, dated, until }
    }
}

/// The end of one session. Without an account, its owner is unknown: it is gone from the store.
pub(crate) fn of_session(
    id: SessionId,
    account: Option<&Account>,
    actor: Actor<'_>,
    why: SessionEnd,
    configuration: &Running,
) -> Record {
    let scope = Scope::Session(id.to_string().into());
    let now = clock::shared();
    // It ends in the store in the same step, with its family, so that nothing new can come of it.
    let dies = match account {
        Some(_) => now.plus(issued_reach_s(configuration)),
        None => configuration.gate.sessions.rules.terms().forgotten_at(now),
    };
    let entry = Entry::compile(scope, None, Some(dies), [], now);
    let owner = account.map(|account| account.owner(dies));
    Record { owner, ..record_of(entry, &actor.to_string(), why) }
}

/// The end of a session that the store does not have. It is remembered as long as the end of a
/// session with an account.
pub(crate) fn of_lost_session(
    id: SessionId,
    actor: Actor<'_>,
    why: SessionEnd,
    configuration: &Running,
) -> Record {
    let now = clock::shared();
    let dies = now.plus(issued_reach_s(configuration));
    let scope = Scope::Session(id.to_string().into());
    let record =
        record_of(Entry::compile(scope, None, Some(dies), [], now), &actor.to_string(), why);
    Record { is_for_nobody: true, ..record }
}

/// The end of a session as it is written in the same step as what ends it.
pub(crate) fn login_end(
    id: SessionId,
    account: &Account,
    actor: Actor<'_>,
    why: SessionEnd,
    configuration: &Running,
) -> LoginEnd {
    let record = of_session(id, Some(account), actor, why, configuration);
    LoginEnd {
        record,
        entries_max: configuration.settings.revocation.entries_max,
        now: clock::now(),
    }
}

/// How long what was issued for a login, or is remembered of it, can be accepted after the login is
/// gone from the store, in seconds.
fn issued_reach_s(configuration: &Running) -> i64 {
    let reach_s = configuration.own_issuer().map_or(0, |own| own.rules().reach_s());
    reach_s.max(REMEMBERED_S)
}

/// The end of one token, which would expire at `dies` anyway.
pub(crate) fn of_token(
    scope: Scope,
    dies: UnixTime,
    account: &Account,
    actor: Actor<'_>,
    configuration: &Running,
) -> Record {
    let now = clock::shared();
    let entry = Entry::compile(scope, None, Some(dies), [], now);
    let until = dies.max(now.plus(issued_reach_s(configuration)));
    let owner = Some(account.owner(until));
    Record { owner, ..record_of(entry, &actor.to_string(), SessionEnd::Client) }
}

/// The end of all sessions of a subject that began until now.
pub(crate) fn of_subject(
    issuer: &str,
    subject: &str,
    why: SessionEnd,
    configuration: &Running,
) -> Record {
    let scope = Scope::Subject { issuer: Some(issuer.into()), subject: subject.into() };
    let record = record(scope, &Actor::Subject(subject).to_string(), why, &[configuration]);
    let Entry { cut_off, expires, .. } = record.entry;
    let owner = Account::new(issuer, subject, cut_off).owner(expires);
    Record { owner: Some(owner), ..record }
}

/// The end of the sessions of users whose entry in the password file changed or is gone.
pub fn of_changed_users(old: &Running, new: &Running) -> Vec<Record> {
    let Some(before) = &old.settings.login else { return Vec::new() };
    let Some(users) = before.method.users() else { return Vec::new() };
    let nobody = Users::default();
    let later =
        new.settings.login.as_ref().and_then(|login| login.method.users()).unwrap_or(&nobody);
    let changed = users.changed_in(later).into_iter();
    let scopes =
        changed.map(|subject| Scope::Subject { issuer: Some(before.issuer.clone()), subject });
    // Gateways that have not read the other configuration yet can accept sessions begun under
    // either.
    let records = scopes.map(|scope| record(scope, GATEWAY, SessionEnd::UserChanged, &[old, new]));
    records.collect()
}

fn record(scope: Scope, actor: &str, why: SessionEnd, configurations: &[&Running]) -> Record {
    let reaches_s = configurations.iter().flat_map(|configuration| {
        // It lasts at least as long as a session: its issuer may have been renamed since.
        let session = configuration.gate.sessions.rules.terms().reach_s();
        configuration.reaches_s(&scope).into_iter().chain([session])
    });
    let reaches_s: Vec<_> = reaches_s.collect();
    record_of(Entry::compile(scope, None, None, reaches_s, clock::shared()), actor, why)
}

fn record_of(entry: Entry, actor: &str, why: SessionEnd) -> Record {
    Record {
        entry,
        written_us: clock::micros(),
        actor: actor.into(),
        reason: why.as_str().into(),
        owner: None,
        is_for_nobody: false,
        mark: fastrand::u64(..),
        lifts: [].into(),
    }
}

/// The prefix sets these actors apart from operators, whatever name a subject or client has.
impl fmt::Display for Actor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Subject(name) => ("subject", name),
            Self::Client(name) => ("client", name),
            Self::Gateway => return f.write_str(GATEWAY),
        };
        write!(f, "{kind} {}", &name[..name.floor_char_boundary(ACTOR_BYTES_MAX)])
    }
}
