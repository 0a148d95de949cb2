//! One request while it is served: how far it has come, what is recorded of it, and how it is refused.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use pingora::Result;
use pingora::proxy::Session as ProxySession;

use super::answer::{FinishedAnswer, client_kind};
use super::client_stream::pace::Pace;
use super::exchange_state::{ExchangeState, RequestOrigin};
use super::limits::held_places::HeldPlaces;
use super::publication::Published;
use super::trace::RequestId;
use crate::gate::Decision;
use crate::gate::authentic::Authentic;
use crate::gate::credential::Carrier;
use crate::gate::denial::{Denial, Slug};
use crate::gate::issuer::Issuer;
use crate::gate::lapse::Lapse;
use crate::gate::policy::{Permit, Policy};
use crate::gate::request::Scheme;
use crate::gate::session::Session;
use crate::gate::verifier::CacheResult;
use crate::web::message::ClientKind;

/// What becomes of a browser that is refused for want of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingSession {
    /// It gets the refusal.
    Refused,
    /// It is sent to the login page, and comes back.
    SentToLogin,
}

/// One request while it is served.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) published: Arc<Published>,
    pub(super) state: ExchangeState,
    pub(super) record: RequestRecord,
    /// Its places among the requests that are being served.
    pub(super) places: HeldPlaces,
    /// What the gate said of it already.
    pub(super) prior: Option<Asked<Permit>>,
    /// How fast the body of an HTTP/2 request has to come.
    pace: Option<Pace>,
}

/// What the gate said, with the session by which it decided.
pub(super) type Asked<P> = (Decision<P>, Option<Arc<Session>>);

/// What metrics and the access log record of a request, as far as it is known.
#[derive(Debug)]
pub(super) struct RequestRecord {
    pub(super) started: Instant,
    /// How long it took to decide, without what was waited for.
    pub(super) decision_took: Duration,
    /// The place of the route, if one matched.
    pub(super) route: Option<usize>,
    /// What carried the credential, if one was read.
    pub(super) carrier: Option<Carrier>,
    /// Whether the credential had been seen before, if one was verified.
    pub(super) cache: Option<CacheResult>,
    /// The issuer that the credential names, if it is one of ours.
    pub(super) issuer: Option<Arc<Issuer>>,
    /// Who asked, if that was verified.
    pub(super) authentic: Option<Arc<Authentic>>,
    /// The status of the answer, once there is one.
    pub(super) status: Option<u16>,
    /// Why the request was not permitted, or could not be served although it was.
    pub(super) denial: Option<Slug>,
    /// What exactly was wrong then.
    pub(super) reason: Cow<'static, str>,
    /// Of the request's body, as far as it went to the upstream.
    pub(super) bytes_in: u64,
    /// Of the answer's body.
    pub(super) bytes_out: u64,
}

tokio::task_local! {
    /// What the fast lane has found out of the request that is about to be served.
    static HANDED_OVER: RefCell<Option<Box<Context>>>;
}

/// Has Pingora serve a request in the context in which the fast lane has decided on it, if there is one.
pub(super) async fn hand_over<T>(
    context: Option<Box<Context>>,
    serving: impl Future<Output = T>,
) -> T {
    HANDED_OVER.scope(RefCell::new(context), serving).await
}

impl Context {
    /// The context of the request that is about to be served: the one that was handed over, or a new one.
    pub(super) fn of_request(published: impl FnOnce() -> Arc<Published>) -> Box<Self> {
        let handed_over = HANDED_OVER.try_with(RefCell::take).ok().flatten();
        handed_over.unwrap_or_else(|| Box::new(Self::new(published())))
    }

    pub(super) fn new(published: Arc<Published>) -> Self {
        Self {
            published,
            state: ExchangeState::New,
            record: RequestRecord {
                started: Instant::now(),
                decision_took: Duration::ZERO,
                route: None,
                carrier: None,
                cache: None,
                issuer: None,
                authentic: None,
                status: None,
                denial: None,
                reason: Cow::Borrowed(""),
                bytes_in: 0,
                bytes_out: 0,
            },
            places: HeldPlaces::default(),
            prior: None,
            pace: None,
        }
    }

    /// The request was received from there.
    pub(super) fn receive(&mut self, origin: RequestOrigin) {
        self.state = ExchangeState::Received(origin);
    }

    /// The request's id; empty before the request was looked at, which nothing observes.
    pub(super) fn request_id(&self) -> &str {
        self.state.origin().map(|origin| &origin.request_id).map_or("", RequestId::as_str)
    }

    /// The address of the client, as far as the trusted proxies tell.
    pub(super) fn client_address(&self) -> Option<IpAddr> {
        self.state.origin().and_then(|origin| origin.client.address)
    }

    /// How the request came to the first of us.
    pub(super) fn scheme(&self, headers: &HeaderMap) -> Scheme {
        self.state.origin().map_or(Scheme::Http, |origin| origin.client.scheme_told(headers))
    }

    /// Whether the body of an HTTP/2 request, of which so many bytes came, is too slow. What the
    /// upstream takes to accept it counts, too; but that is bounded by its own timeout.
    pub(super) fn is_late(&mut self, bytes: u64) -> bool {
        let rules = self.published.configuration.settings.limits.body_pace;
        let now = tokio::time::Instant::now();
        let started = self.record.started.into();
        let pace = self.pace.get_or_insert_with(|| Pace::begin(rules, started));
        let until = if pace.is_waiting() { pace.wait(now) } else { pace.wait(started) };
        pace.arrived(usize::try_from(bytes).unwrap_or(usize::MAX), || now);
        // From now on the rest is waited for.
        pace.wait(now);
        until < now
    }

    /// Remembers why a request was not permitted, or could not be served.
    pub(super) fn denied(&mut self, denial: &Denial) {
        self.record.denial = Some(denial.slug());
        self.record.reason = denial.reason().to_owned().into();
    }

    /// What becomes of a browser that has no session, by the route of its request.
    fn missing_session(&self) -> MissingSession {
        let routes = self.published.configuration.gate.settings.routes.routes();
        match self.record.route.and_then(|route| routes.get(route)).map(|route| &route.policy) {
            Some(Policy::Authenticate(rule)) if rule.carriers.contains(&Carrier::Session) => {
                MissingSession::SentToLogin
            }
            Some(Policy::Authenticate(_) | Policy::Public) | None => MissingSession::Refused,
        }
    }

    /// Answers with a denial.
    pub(super) async fn refuse(
        &mut self,
        session: &mut ProxySession,
        denial: &Denial,
    ) -> Result<()> {
        let missing = self.missing_session();
        self.refuse_where(missing, session, denial).await
    }

    /// Answers with a denial, where it is known what becomes of a browser that has no session.
    pub(super) async fn refuse_where(
        &mut self,
        missing: MissingSession,
        session: &mut ProxySession,
        denial: &Denial,
    ) -> Result<()> {
        self.denied(denial);
        // A proxy in front of the gateway may disagree on where such a request ends.
        if denial.slug() == Slug::RequestFraming {
            session.set_keepalive(None);
        }
        let request = session.req_header();
        let client_kind = client_kind(&request.headers);
        let answer = match (&self.published.configuration.settings.login, missing, client_kind) {
            (Some(login), MissingSession::SentToLogin, ClientKind::Person)
                if request.method.is_safe() && denial.slug().is_want_of_login() =>
            {
                FinishedAnswer::to_login(&login.base, request.raw_path())
            }
            (Some(_) | None, MissingSession::SentToLogin | MissingSession::Refused, _) => {
                let realm = &self.published.configuration.settings.realm;
                FinishedAnswer::new(denial, client_kind, self.request_id(), realm)
            }
        };
        self.record.status = Some(answer.status);
        answer.write(session).await
    }

    /// What a request whose principal has lapsed would now be refused with.
    pub(super) fn slug_of(&self, lapse: Lapse) -> Slug {
        lapse.slug(self.record.carrier.unwrap_or(Carrier::Bearer))
    }
}
