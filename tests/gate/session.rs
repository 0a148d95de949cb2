//! The session carrier: a cookie, what is in memory, and what was read from the store.

mod api_key;
mod builtin_paths;
mod carriers;
mod csrf;
mod lifetime;
mod revocation;

use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderName, Method};
use portcullis::gate::Verdict;
use portcullis::gate::credential::Carrier;
use portcullis::gate::request::Scheme;
use portcullis::gate::session::{
    LoginDetails, Session, SessionKind, SessionRecord, SessionSecret, StoredSession,
};
use portcullis::gate::time::{Moment, SteadyTime, UnixTime};
use portcullis::gate::verifier::CacheResult;
use serde_json::{Map, Value, json};

use super::{
    BUILTIN, CompiledGate, GateRequest, NOW, PERMITTED, STEADY, good, is_builtin, outcome, slug_of,
    wanted,
};
use crate::harness::tokens::{AUDIENCE, ISSUER, bearer, pair};

const NAME: &str = "__Host-session";

/// The defaults of `sessions`.
const IDLE_S: i64 = 30 * 60;
const LIFETIME_S: i64 = 12 * 3600;
const RECHECK_MS: u64 = 5_000;

/// Routes for each order of carriers, a public one, and one that takes whatever is left.
const ROUTES: &str = "\
- {name: only, match: {path: '/only/{*rest}'}, upstream: behind, authenticate: [session]}
- {name: bearer-first, match: {path: /bearer-first}, upstream: behind, authenticate: [bearer, session]}
- {name: session-first, match: {path: /session-first}, upstream: behind, authenticate: [session, bearer]}
- {name: bearer-only, match: {path: /bearer-only}, upstream: behind, authenticate: [bearer]}
- {name: public, match: {path: /public}, upstream: behind, public: true}
";

/// A configuration with sessions; `sections` says more, `routes` may be more of [`ROUTES`].
fn text(sections: &str, routes: &str) -> String {
    format!(
        "login: {{password_file: users.yaml}}\n{sections}\n\
         issuers: [{{name: test, issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: [ES256], \
         keys: {{public_key_file: issuer.pem}}}}]\nroutes:\n{ROUTES}{routes}\n"
    )
}

fn files() -> [(&'static str, &'static str); 2] {
    [("issuer.pem", pair().public.as_str()), ("users.yaml", "{}")]
}

fn gatehouse() -> CompiledGate {
    with(&[], "")
}

/// The same with more sections and routes.
fn with(sections: &[&str], routes: &str) -> CompiledGate {
    CompiledGate::compile(&text(&sections.join("\n"), routes), &files())
}

fn secret(seed: u8) -> SessionSecret {
    SessionSecret::from_random([seed; 32])
}

/// The secret of the session that these tests are about.
fn own() -> SessionSecret {
    secret(7)
}

/// The `Cookie` field that a browser sends with its session.
fn cookie(secret: &SessionSecret) -> (HeaderName, String) {
    (COOKIE, format!("{NAME}={}", secret.expose()))
}

/// What a login established at `NOW`.
fn stored() -> StoredSession {
    let Value::Object(claims) = json!({"tenant": "acme", "org": {"id": 7}}) else {
        unreachable!("an object")
    };
    StoredSession { record: record("alice", claims), last_seen: UnixTime::from_seconds(NOW) }
}

fn record(subject: &str, claims: Map<String, Value>) -> SessionRecord {
    let created = UnixTime::from_seconds(NOW);
    SessionRecord {
        kind: SessionKind::Login(LoginDetails {
            family: "first".into(),
            user_agent: "a browser".into(),
            address: "192.0.2.7".into(),
        }),
        subject: subject.into(),
        issuer: "gateway".into(),
        method: "password".into(),
        roles: vec!["clerk".into()],
        scopes: vec!["orders:read".into(), "orders:list".into()],
        claims,
        created,
        ends: created.plus(LIFETIME_S),
        idle_s: IDLE_S,
    }
}

/// At so many seconds after `NOW`, by both clocks.
fn later(seconds: i64) -> Moment {
    let steady = STEADY.as_millis() + u64::try_from(seconds).expect("later") * 1000;
    Moment {
        wall: UnixTime::from_seconds(NOW + seconds),
        steady: SteadyTime::from_millis(steady),
        ..Moment::default()
    }
}

impl CompiledGate {
    /// The session as it was read at `STEADY`, which is not in memory.
    fn read(&self, secret: &SessionSecret, stored: &StoredSession) -> Arc<Session> {
        let rules = &self.configuration.gate.sessions.rules;
        Arc::new(Session::compile(secret.id(), stored, rules, STEADY))
    }

    /// The same, in memory.
    fn remember(&self, secret: &SessionSecret, stored: &StoredSession) -> Arc<Session> {
        let session = self.read(secret, stored);
        self.configuration.gate.sessions.table.publish(session.clone());
        session
    }

    /// A gate that has alice's session in memory.
    fn with_alice(self) -> Self {
        self.remember(&own(), &stored());
        self
    }

    fn slug_for(&self, asked: &GateRequest<'_>) -> &'static str {
        slug_of(&self.verdict(asked))
    }
}

impl<'a> GateRequest<'a> {
    fn with(mut self, field: (HeaderName, String)) -> Self {
        self.fields.push(field);
        self
    }

    /// With the cookie of the session that these tests are about.
    fn logged_in(target: &'a str) -> Self {
        Self::get(target).with(cookie(&own()))
    }

    fn by(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn at(mut self, now: Moment) -> Self {
        self.now = now;
        self
    }

    fn over(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    fn having_read(mut self, session: Arc<Session>) -> Self {
        self.read = Some(session);
        self
    }
}

/// Whom a verdict permits.
fn subject<'v>(verdict: &'v Verdict<'_>) -> Option<&'v str> {
    let principal = outcome(verdict).ok()?.principal()?;
    Some(principal.subject().as_str())
}

#[test]
fn session_in_memory_is_permitted_and_says_who_it_is() {
    let gate = gatehouse().with_alice();
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7"));
    assert_eq!((slug_of(&verdict), subject(&verdict)), (PERMITTED, Some("alice")));
    assert_eq!(verdict.findings.carrier, Some(Carrier::Session));
    assert_eq!(verdict.findings.cache, Some(CacheResult::Hit));
    assert_eq!(verdict.findings.session.as_ref().map(|session| session.id()), Some(own().id()));
    assert!(
        wanted(&verdict).is_none() && verdict.findings.issuer.is_none() && !is_builtin(&verdict)
    );
}

#[test]
fn session_that_was_read_for_the_request_is_permitted_and_was_not_in_memory() {
    let gate = gatehouse();
    let read = gate.read(&own(), &stored());
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7").having_read(read));
    assert_eq!((slug_of(&verdict), subject(&verdict)), (PERMITTED, Some("alice")));
    assert_eq!(verdict.findings.cache, Some(CacheResult::Miss));
    assert_eq!(verdict.findings.session.as_ref().map(|session| session.id()), Some(own().id()));
    assert!(wanted(&verdict).is_none());
}

/// Somebody has to ask the store; until then it is not a session.
#[test]
fn session_that_is_not_in_memory_is_wanted_and_not_permitted() {
    let gate = gatehouse();
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7"));
    assert_eq!(slug_of(&verdict), "store_unavailable");
    let wanted = wanted(&verdict).expect("it is wanted");
    assert_eq!(wanted.id, own().id());
    assert!(wanted.aged.is_none(), "nothing is known of it");
    assert!(verdict.findings.session.is_none() && verdict.findings.authentic.is_none());
    assert_eq!(verdict.findings.carrier, Some(Carrier::Session));
}

/// Whoever hands the gate a session has to hand it the one that the cookie names.
#[test]
fn session_that_was_read_for_another_cookie_is_ignored() {
    let gate = gatehouse();
    let of_bob = StoredSession { record: record("bob", Map::new()), ..stored() };
    let read = gate.read(&secret(8), &of_bob);
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7").having_read(read.clone()));
    assert_eq!(slug_of(&verdict), "store_unavailable");
    assert_eq!(wanted(&verdict).map(|wanted| wanted.id), Some(own().id()));
    // Nor does it get in the way of the one that is in memory, nor count without a cookie.
    let gate = gate.with_alice();
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7").having_read(read.clone()));
    assert_eq!(subject(&verdict), Some("alice"));
    let nobody = GateRequest::get("/only/7").having_read(read);
    assert_eq!(gate.slug_for(&nobody), "credential_absent");
}

/// What was read last is later than what is remembered.
#[test]
fn session_that_was_read_goes_before_what_is_in_memory() {
    let gate = gatehouse().with_alice();
    let mut rested = stored();
    rested.last_seen = UnixTime::from_seconds(NOW - IDLE_S);
    let read = gate.read(&own(), &rested);
    let asked = GateRequest::logged_in("/only/7");
    assert_eq!(gate.slug_for(&asked.clone().having_read(read)), "session_expired");
    assert_eq!(gate.slug_for(&asked), PERMITTED);
}

#[test]
fn requirements_are_asked_of_what_the_login_established() {
    let route = |name: &str, require: &str| {
        format!(
            "- {{name: {name}, match: {{path: /{name}}}, upstream: behind, \
             authenticate: [session], require: {{{require}}}}}\n"
        )
    };
    let rows = [
        ("scope", "scopes: [orders:read]", PERMITTED),
        ("scopes", "scopes: [orders:list, orders:read]", PERMITTED),
        ("more-scopes", "scopes: [orders:read, orders:write]", "scope_missing"),
        ("scope-in-capitals", "scopes: [ORDERS:READ]", "scope_missing"),
        ("role", "any_role: [admin, clerk]", PERMITTED),
        ("other-role", "any_role: [admin]", "role_missing"),
        ("role-is-no-scope", "scopes: [clerk]", "scope_missing"),
        ("claim", "claims: {tenant: [acme, globex]}", PERMITTED),
        ("pointer", "claims: {/org/id: 7}", PERMITTED),
        ("other-claim", "claims: {tenant: globex}", "claim_mismatch"),
        ("pointer-as-text", "claims: {/org/id: '7'}", "claim_mismatch"),
        ("unknown-claim", "claims: {department: [a]}", "claim_mismatch"),
        // What a token would say of itself is not a claim of a session.
        ("subject-claim", "claims: {sub: alice}", "claim_mismatch"),
    ];
    let routes: String = rows.iter().map(|(name, require, _)| route(name, require)).collect();
    let gate = with(&[], &routes).with_alice();
    for (name, require, expected) in rows {
        assert_eq!(
            gate.slug_for(&GateRequest::logged_in(&format!("/{name}"))),
            expected,
            "{require}"
        );
    }
}

/// A session that nothing was established for holds nothing.
#[test]
fn session_without_roles_and_scopes_meets_no_requirement() {
    let route = "- {name: strict, match: {path: /strict}, upstream: behind, \
                 authenticate: [session], require: {any_role: [clerk]}}\n";
    let gate = with(&[], route);
    let mut bare = stored();
    bare.record.roles.clear();
    bare.record.scopes.clear();
    gate.remember(&own(), &bare);
    assert_eq!(gate.slug_for(&GateRequest::logged_in("/strict")), "role_missing");
    assert_eq!(gate.slug_for(&GateRequest::logged_in("/only/7")), PERMITTED);
}

/// The same headers as for a token, and the session's id beside them.
#[test]
fn upstream_is_told_who_it_is_and_never_the_secret() {
    let gate = gatehouse().with_alice();
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7"));
    let permit = outcome(&verdict).expect("it is permitted");
    let headers = permit.principal().expect("somebody").identity().headers();
    let told: Vec<_> = headers
        .iter()
        .map(|(name, value)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (name.to_ascii_lowercase(), value.to_str().expect("text").to_owned())
        })
        .collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for expected in [
        pair("x-auth-subject", "alice"),
        pair("x-auth-issuer", "gateway"),
        pair("x-auth-scopes", "orders:read orders:list"),
        pair("x-auth-roles", "clerk"),
        pair("x-auth-session", &own().id().to_string()),
    ] {
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }
    assert!(!format!("{told:?}").contains(&own().expose()), "{told:?}");
}
