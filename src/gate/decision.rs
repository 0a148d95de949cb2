//! The gate's decision about a request: permitted, denied or undecided; and its findings.

use std::sync::Arc;

use super::authentic::Authentic;
use super::credential::Carrier;
use super::denial::Denial;
use super::issuer::Issuer;
use super::policy::Permit;
use super::route::Route;
use super::session::{Provenance, Session, SessionId};
use super::verifier::CacheResult;

/// The `kid` of a key that the issuer is not known to have. `None` for a token that names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey(pub Option<Box<str>>);

/// A session that the gate cannot judge from memory.
#[derive(Clone, Debug)]
pub struct WantedSession {
    /// The id of the session.
    pub id: SessionId,
    /// The carrier of its secret.
    pub carrier: Carrier,
    /// The session as it was some time ago, for use while the store does not answer.
    pub aged: Option<Arc<Session>>,
    /// Whether its secret is one of ours.
    pub provenance: Provenance,
}

/// The gate's decision about one request; `P` is the proof that it may pass.
#[derive(Debug)]
pub enum Decision<P> {
    /// It may pass.
    Permitted(P),
    /// It may not.
    Denied(Denial),
    /// The key that verifies the credential is not known. Fetching the issuer's keys anew may help;
    /// if not, this is the denial.
    NeedsKey(WantedKey, Denial),
    /// The session has to be read from the store before there is an answer.
    NeedsSession(WantedSession),
    /// The gateway answers here itself.
    Builtin,
}

/// The decision about one request, and the findings on the way to it.
#[derive(Debug)]
pub struct Verdict<'g, P = Permit> {
    /// The findings.
    pub findings: Findings<'g>,
    /// The decision.
    pub decision: Decision<P>,
}

/// What the gate found out about a request, independent of the decision.
#[derive(Debug, Default)]
pub struct Findings<'g> {
    /// The route, if one matched.
    pub route: Option<&'g Route>,
    /// The carrier of the credential, if one was read.
    pub carrier: Option<Carrier>,
    /// Whether the credential had been seen before, if one was verified.
    pub cache: Option<CacheResult>,
    /// The issuer that the credential names, if it is one of ours.
    pub issuer: Option<Arc<Issuer>>,
    /// The verified caller, if there is one, whether or not the request was permitted.
    pub authentic: Option<Arc<Authentic>>,
    /// The session that the decision was based on.
    pub session: Option<Arc<Session>>,
}

/// Why no permit was issued.
pub(super) enum Stop {
    Denied(Denial),
    NeedsKey(WantedKey, Denial),
    NeedsSession(WantedSession),
    Builtin,
}

impl<T: Into<Denial>> From<T> for Stop {
    fn from(denial: T) -> Self {
        Self::Denied(denial.into())
    }
}

impl<'g, P> Verdict<'g, P> {
    pub(super) fn new(findings: Findings<'g>, outcome: Result<P, Stop>) -> Self {
        let decision = match outcome {
            Ok(proof) => Decision::Permitted(proof),
            Err(Stop::Denied(denial)) => Decision::Denied(denial),
            Err(Stop::NeedsKey(key, denial)) => Decision::NeedsKey(key, denial),
            Err(Stop::NeedsSession(session)) => Decision::NeedsSession(session),
            Err(Stop::Builtin) => Decision::Builtin,
        };
        Self { findings, decision }
    }
}
