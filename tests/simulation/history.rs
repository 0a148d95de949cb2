//! What was done, what was heard of it, and what went wrong meanwhile: all that the judge knows.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::setting::Setting;

/// Milliseconds since the history began.
pub(super) type Millis = u64;

/// A time that never comes.
pub(super) const NEVER: Millis = Millis::MAX;

/// From when to when something took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Millis,
    pub(super) until: Millis,
}

impl Span {
    pub(super) fn holds(self, at: Millis) -> bool {
        self.from <= at && at <= self.until
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.from <= other.until && other.from <= self.until
    }
}

/// A gateway, and which of its lives it was: it has another one after each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) gateway: usize,
    pub(super) life: usize,
}

/// A credential of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The cookie of a login.
    Cookie(usize),
    /// An access token of a login: the first, the second and so on.
    Access(usize, usize),
    /// A token of another issuer.
    Foreign(usize),
}

/// What an operator cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Token(Shown),
    Session(usize),
    Subject(usize),
}

/// What a route does while the list is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Deny,
    Allow,
    DenyWrites,
    AllowForASecond,
}

impl Route {
    pub(super) const ALL: [Self; 4] =
        [Self::Deny, Self::Allow, Self::DenyWrites, Self::AllowForASecond];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Deny => "/deny/x",
            Self::Allow => "/allow/x",
            Self::DenyWrites => "/writes/x",
            Self::AllowForASecond => "/second/x",
        }
    }
}

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The number is one past all if it was not answered.
    LogIn {
        subject: usize,
        login: usize,
        deliver: &'static str,
    },
    Visit {
        shown: Shown,
        route: Route,
    },
    /// The honest holder exchanges the refresh token at this place.
    Refresh {
        login: usize,
        token: usize,
    },
    /// Somebody else, or somebody careless, shows one that was exchanged before.
    Reuse {
        login: usize,
        token: usize,
    },
    LogOut {
        login: usize,
    },
    LogOutEverywhere {
        login: usize,
    },
    /// `POST revoke` with a refresh token.
    GiveBack {
        login: usize,
    },
    Revoke {
        target: Target,
        waits: bool,
    },
    /// `DELETE /v1/sessions/{id}`.
    EndSession {
        login: usize,
    },
    /// `DELETE /v1/sessions?subject=`.
    EndSessions {
        subject: usize,
    },
    RotateKeys,
    /// A client shows an assertion, and asks for a token.
    ShowAssertion {
        assertion: usize,
    },
    /// `/readyz`.
    Probe,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing, or nothing in time.
    Nothing,
    Told {
        status: u16,
        /// The slug, or the `error`, or what a probe says.
        word: String,
        /// All gateways have confirmed.
        is_confirmed: bool,
        /// It is on the disk of the store.
        is_durable: bool,
    },
}

impl Heard {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Nothing => None,
            Self::Told { status, .. } => Some(*status),
        }
    }

    pub(super) fn word(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Told { word, .. } => word,
        }
    }
}

/// Something that was done at a gateway.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) span: Span,
    pub(super) place: Place,
    pub(super) deed: Deed,
    pub(super) heard: Heard,
}

impl Event {
    /// Whether it was done, and could not be written to the audit log: that must take a line within five seconds, which is
    /// little while the machine stands still. The answer says both, and is held to it.
    pub(super) fn is_unaudited(&self) -> bool {
        self.heard.status() == Some(500) && self.heard.word().starts_with("audit_log")
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    Kill,
    StandStill,
    Reload,
    SetClock,
    Hold,
    HoldAnswers,
    HoldExchange,
    Cut,
    Delay,
    Duplicate,
    NoNewLinks,
    /// Links are cut, and there are no new ones.
    Split,
    ServerStandsStill,
    ServerRestarts,
    ServerIsOlder,
    ServerIsEmpty,
    Promote,
    PromoteLate,
    /// Sentinel is told to make the replica the master.
    FailOver,
    /// The master is cut off from its replica and dies, and Sentinel finds out.
    MasterDies,
    Evict,
    /// The list of what is live is evicted, the log, both, or the roster.
    EvictList,
    EvictLog,
    EvictAll,
    EvictRoster,
}

/// Something that went wrong.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) span: Span,
    /// At one gateway, or at all.
    pub(super) gateway: Option<usize>,
    /// What was written then may be lost, and is not there again before its end.
    pub(super) loss: Option<Span>,
    /// The login whose session was deleted.
    pub(super) evicted: Option<usize>,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, span: Span, gateway: Option<usize>) -> Self {
        Self { kind, span, gateway, loss: None, evicted: None }
    }
}

/// One pair of tokens of a login.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) refresh: String,
}

/// A login that was answered.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) subject: usize,
    pub(super) span: Span,
    pub(super) session: String,
    /// The cookie, and the CSRF token.
    pub(super) cookie: Option<(String, String)>,
    pub(super) pairs: Vec<Pair>,
    /// Its holder has done with it.
    pub(super) is_left: bool,
}

/// A token of another issuer.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    pub(super) subject: usize,
    pub(super) text: String,
    pub(super) made: Millis,
    /// How long before that it says that it was issued.
    pub(super) age_s: i64,
}

/// The life of a gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) place: Place,
    pub(super) spawned: Millis,
    pub(super) ended: Option<Millis>,
}

/// Everything that there is to judge by.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) setting: Setting,
    pub(super) logins: Vec<Login>,
    pub(super) foreign: Vec<Foreign>,
    /// Those that a client has made.
    pub(super) assertions: Vec<String>,
    pub(super) events: Vec<Event>,
    pub(super) faults: Vec<Fault>,
    pub(super) lives: Vec<Life>,
    /// When the last fault was over.
    pub(super) healed: Option<Millis>,
}

/// A record that grows.
pub(super) struct History {
    begun: Instant,
    record: Mutex<Record>,
}

impl History {
    pub(super) fn of(setting: &Setting) -> Self {
        let record = Record {
            setting: setting.clone(),
            logins: Vec::new(),
            foreign: Vec::new(),
            assertions: Vec::new(),
            events: Vec::new(),
            faults: Vec::new(),
            lives: Vec::new(),
            healed: None,
        };
        Self { begun: Instant::now(), record: Mutex::new(record) }
    }

    pub(super) fn now(&self) -> Millis {
        u64::try_from(self.begun.elapsed().as_millis()).expect("a short time")
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("the record")
    }

    pub(super) fn happened(&self, from: Millis, place: Place, deed: Deed, heard: Heard) {
        let span = Span { from, until: self.now() };
        self.record().events.push(Event { span, place, deed, heard });
    }

    pub(super) fn went_wrong(&self, fault: Fault) {
        self.record().faults.push(fault);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gw-{}.{}", self.gateway + 1, self.life)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { span: Span { from, until }, place, deed, heard } = self;
        write!(f, "{from:>6} to {until:>6} ms  {place}  {deed:?} → ")?;
        match heard {
            Heard::Nothing => write!(f, "nothing"),
            Heard::Told { status, word, is_confirmed, is_durable } => {
                write!(f, "{status} {word}")?;
                if *is_durable {
                    write!(f, " durable")?;
                }
                if *is_confirmed {
                    write!(f, " confirmed")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#?}", self.setting)?;
        for life in &self.lives {
            writeln!(f, "{:>6} to {:?} ms  {} lives", life.spawned, life.ended, life.place)?;
        }
        for (number, login) in self.logins.iter().enumerate() {
            let Login { subject, span, session, cookie, pairs, .. } = login;
            let (cookie, pairs) = (cookie.is_some(), pairs.len());
            writeln!(
                f,
                "login {number}: subject {subject}, {}..{}, {session}, cookie {cookie}, {pairs} pairs",
                span.from, span.until
            )?;
        }
        for (number, foreign) in self.foreign.iter().enumerate() {
            let Foreign { subject, made, age_s, .. } = foreign;
            writeln!(f, "foreign {number}: subject {subject}, made at {made}, {age_s} s old")?;
        }
        let mut lines: Vec<_> =
            self.events.iter().map(|one| (one.span.from, one.to_string())).collect();
        lines.extend(self.faults.iter().map(|fault| {
            let Fault { kind, span, gateway, loss, evicted } = fault;
            let text = format!(
                "{:>6} to {:>6} ms  FAULT {kind:?} gateway {gateway:?} loss {loss:?} evicted {evicted:?}",
                span.from, span.until
            );
            (span.from, text)
        }));
        lines.sort();
        lines.iter().try_for_each(|(_, line)| writeln!(f, "{line}"))?;
        writeln!(f, "healed at {:?}", self.healed)
    }
}
