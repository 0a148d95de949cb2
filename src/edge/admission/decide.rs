//! Asks the gate; fetches a key or a session where the answer hangs on it, and asks once more.

use std::sync::Arc;
use std::time::Instant;

use pingora::http::RequestHeader;

use crate::clock;
use crate::edge::authority::authority_of;
use crate::edge::context::{Asked, Context, RequestRecord};
use crate::edge::publication::Published;
use crate::feed::sessions::Charge;
use crate::feed::{jwks, sessions};
use crate::gate::credential::Carrier;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::fields;
use crate::gate::lapse::Lapse;
use crate::gate::request::Request;
use crate::gate::session::Session as LoginSession;
use crate::gate::time::Moment;
use crate::gate::verifier::CacheResult;
use crate::gate::{Decision, Findings, Gate, Verdict, WantedKey, WantedSession};
use crate::web::message::KeySeeker;

/// Asks the gate in one of its two ways: by the route's rule, or by that of its own endpoints.
type Ask<P> = for<'g, 'a, 'r> fn(&'g Gate, &'a Request<'r>, Moment) -> Verdict<'g, P>;

/// A decision for which nothing is lacking any more.
pub(super) enum Settled<P> {
    /// By a session, if there was one.
    Permitted(P, Option<Arc<LoginSession>>),
    Builtin,
}

impl Context {
    /// Asks the gate, unless it has said something already; if the answer hangs on a key that may have
    /// come since, or on a session that is not in memory, fetches it and asks once more.
    pub(super) async fn decide<P>(
        &mut self,
        request: &RequestHeader,
        ask: Ask<P>,
        charge: Charge,
        prior: Option<Asked<P>>,
    ) -> Result<Settled<P>, Denial> {
        // HTTP/1 heads were counted before Pingora saw them.
        if request.headers.len() > self.published.configuration.settings.limits.head.fields_max {
            return Err(Slug::HeadersTooLarge.into());
        }
        fields::read(&request.headers)?;
        let authority = authority_of(request)?;
        let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
        let request = Request {
            scheme: self.scheme(&request.headers),
            method: &request.method,
            authority: authority.as_deref(),
            target,
            headers: &request.headers,
            session: None,
        };
        match prior.unwrap_or_else(|| self.ask(&request, ask)) {
            (Decision::NeedsKey(wanted, denial), _) => {
                self.take_place()?;
                self.decide_with_key(&request, ask, &wanted, denial).await
            }
            (Decision::NeedsSession(wanted), _) => {
                self.take_place()?;
                self.decide_with_session(&request, ask, charge, &wanted).await
            }
            asked @ (Decision::Permitted(_) | Decision::Denied(_) | Decision::Builtin, _) => {
                settled(asked)
            }
        }
    }

    async fn decide_with_session<P>(
        &mut self,
        request: &Request<'_>,
        ask: Ask<P>,
        charge: Charge,
        wanted: &WantedSession,
    ) -> Result<Settled<P>, Denial> {
        use sessions::Sought;
        let published = self.published.clone();
        let client = self.client_address();
        published.sessions.metrics().miss();
        match published.sessions.seek(wanted, client, charge).await {
            Sought::Found(session) => {
                let outcome =
                    settled(self.ask(&Request { session: Some(&session), ..*request }, ask));
                if let Err(denial) = &outcome
                    && denial.slug() == Lapse::Expired.slug(wanted.carrier)
                {
                    published.sessions.spend(client, charge);
                }
                outcome
            }
            Sought::Absent => Err(published.configuration.gate.absent(wanted.id, wanted.carrier)),
            Sought::Unavailable => Err(Slug::StoreUnavailable.into()),
            Sought::Refused(seconds) => {
                Err(Denial::with(Slug::VerificationBudget, Detail::RetryAfter(seconds)))
            }
        }
    }

    async fn decide_with_key<P>(
        &mut self,
        request: &Request<'_>,
        ask: Ask<P>,
        wanted: &WantedKey,
        absent: Denial,
    ) -> Result<Settled<P>, Denial> {
        use jwks::KeySearch;
        let issuer = self.record.issuer.clone();
        let published = self.published.clone();
        let Some(issuer) = issuer else { return Err(absent) };
        match published.seek(&issuer, &wanted.0).await {
            KeySearch::Found => settled(self.ask(request, ask)),
            KeySearch::Absent => Err(absent),
            KeySearch::Unavailable => {
                let reason = format!("{}, and it cannot be looked up now", absent.reason());
                Err(Denial::new(Slug::KeysUnavailable).because(reason))
            }
        }
    }

    /// One pass through the gate, timed.
    pub(super) fn ask<P>(&mut self, request: &Request<'_>, ask: Ask<P>) -> Asked<P> {
        let begun = Instant::now();
        let now = clock::moment_at(clock::steady_at(begun));
        let published = &self.published;
        let Verdict { findings, decision } = ask(&published.configuration.gate, request, now);
        let result = match &decision {
            Decision::Denied(denial) | Decision::NeedsKey(_, denial) => denial.slug().as_str(),
            Decision::Permitted(_) | Decision::NeedsSession(_) | Decision::Builtin => "ok",
        };
        let session = self.record.note(published, findings, result, begun);
        (decision, session)
    }
}

impl RequestRecord {
    /// Takes what the gate found, and what it said of a token that was verified; returns the session by
    /// which it decided.
    fn note(
        &mut self,
        published: &Published,
        findings: Findings<'_>,
        result: &str,
        begun: Instant,
    ) -> Option<Arc<LoginSession>> {
        let Findings { route, carrier, cache, issuer, authentic, session } = findings;
        self.decision_took += begun.elapsed();
        self.route = route.map(|route| route.index).or(self.route);
        if let (Some(CacheResult::Miss), Some(issuer)) = (cache, &issuer) {
            let labels = [&*issuer.rules().name, result];
            published.metrics.tokens_verified.with_label_values(&labels).inc();
        }
        if let (Some(Carrier::Session | Carrier::ApiKey), Some(CacheResult::Hit)) = (carrier, cache)
        {
            published.sessions.metrics().hit();
        }
        self.carrier = carrier;
        self.cache = cache;
        self.issuer = issuer;
        self.authentic = authentic;
        session
    }
}

/// What a decision comes to when nothing more can be fetched for it.
fn settled<P>((decision, session): Asked<P>) -> Result<Settled<P>, Denial> {
    match decision {
        Decision::Permitted(proof) => Ok(Settled::Permitted(proof, session)),
        Decision::Builtin => Ok(Settled::Builtin),
        Decision::Denied(denial) | Decision::NeedsKey(_, denial) => Err(denial),
        Decision::NeedsSession(_) => Err(Slug::StoreUnavailable.into()),
    }
}
