//! API keys: a header, and what stands behind it like a session.

use http::header::{AUTHORIZATION, COOKIE};
use portcullis::gate::revocation::Scope;
use portcullis::gate::session::ApiKey;
use portcullis::gate::session::ApiKeyDetails;

use super::*;
use crate::gate::token;

const HEADER: HeaderName = HeaderName::from_static("x-api-key");

const DAY_S: i64 = 24 * 3600;

/// Routes for API keys, alone and beside the other carriers.
const FOR_KEYS: &str = "\
- {name: keys, match: {path: /keys}, upstream: behind, authenticate: [api_key]}
- {name: key-first, match: {path: /key-first}, upstream: behind, authenticate: [api_key, bearer, session]}
- {name: key-last, match: {path: /key-last}, upstream: behind, authenticate: [bearer, session, api_key]}
";

fn gatehouse() -> CompiledGate {
    with(&["api_keys: {}"], FOR_KEYS)
}

fn key() -> ApiKey {
    ApiKey::from_random(&[9; 32])
}

/// What an operator made at `NOW`, for 90 days.
fn made() -> StoredSession {
    let mut stored = stored();
    stored.record.kind = SessionKind::ApiKey(ApiKeyDetails { label: "nightly import".into() });
    stored.record.subject = "importer".into();
    stored.record.method = "api_key".into();
    stored.record.ends = UnixTime::from_seconds(NOW + 90 * DAY_S);
    stored.record.idle_s = 90 * DAY_S;
    stored
}

impl CompiledGate {
    fn read_key(&self, stored: &StoredSession) -> Arc<Session> {
        let rules = &self.configuration.gate.sessions.rules;
        Arc::new(Session::compile(key().id(), stored, rules, STEADY))
    }

    /// With the key in memory.
    fn with_key(self) -> Self {
        self.configuration.gate.sessions.table.publish(self.read_key(&made()));
        self
    }
}

fn shown(text: &str) -> (HeaderName, String) {
    (HEADER, text.to_owned())
}

fn asked(target: &str) -> GateRequest<'_> {
    GateRequest::get(target).with(shown(key().expose()))
}

#[test]
fn api_key_in_memory_is_permitted_and_says_who_it_is() {
    let gate = gatehouse().with_key();
    let verdict = gate.verdict(&asked("/keys"));
    assert_eq!((slug_of(&verdict), subject(&verdict)), (PERMITTED, Some("importer")));
    assert_eq!(verdict.findings.carrier, Some(Carrier::ApiKey));
    assert_eq!(verdict.findings.cache, Some(CacheResult::Hit));
    // Neither the secret nor the id of what is not a session is told.
    let permit = outcome(&verdict).expect("it is permitted");
    let told = format!("{:?}", permit.principal().expect("somebody").identity().headers());
    assert!(told.contains("importer"), "{told}");
    for hidden in [key().expose(), &key().id().to_string(), "x-auth-session", "X-Auth-Session"] {
        assert!(!told.contains(hidden), "{told}");
    }
}

#[test]
fn api_key_that_is_not_in_memory_is_wanted_and_not_permitted() {
    let gate = gatehouse();
    let verdict = gate.verdict(&asked("/keys"));
    assert_eq!(slug_of(&verdict), "store_unavailable");
    let wanted = wanted(&verdict).expect("it is wanted");
    assert_eq!((wanted.id, wanted.carrier), (key().id(), Carrier::ApiKey));
    let read = gate.read_key(&made());
    let verdict = gate.verdict(&asked("/keys").having_read(read));
    assert_eq!((slug_of(&verdict), subject(&verdict)), (PERMITTED, Some("importer")));
}

/// One that was not copied whole is told so at once, and nobody is asked.
#[test]
fn what_is_no_api_key_is_malformed() {
    let gate = gatehouse().with_key();
    let key = key();
    let good = key.expose();
    let other = ApiKey::from_random(&[8; 32]);
    let mistyped = format!("{}{}", &other.expose()[..46], &good[46..]);
    for text in [
        "",
        "pk_",
        &good[..good.len() - 1],
        &format!("{good}A"),
        &good.to_uppercase(),
        &good.replace("pk_", "sk_"),
        &good[3..],
        &mistyped,
        &format!("{good}, {good}"),
        &format!("Bearer {good}"),
        own().expose().as_str(),
    ] {
        let verdict = gate.verdict(&GateRequest::get("/keys").with(shown(text)));
        assert_eq!(slug_of(&verdict), "credential_malformed", "{text}");
        assert_eq!(verdict.findings.carrier, Some(Carrier::ApiKey), "{text}");
        assert!(wanted(&verdict).is_none(), "{text}");
    }
    let twice = asked("/keys").with(shown(good));
    assert_eq!(gate.slug_for(&twice), "credential_malformed");
    // White space around a value is not part of it (RFC 9110 §5.5).
    let spaced = GateRequest::get("/keys").with(shown(&format!(" {good} ")));
    assert_eq!(gate.slug_for(&spaced), PERMITTED);
}

#[test]
fn absent_api_key_leaves_the_request_to_the_next_carrier_and_the_other_way_round() {
    let gate = gatehouse().with_alice().with_key();
    let bearer = (AUTHORIZATION, bearer(&token(json!({"sub": "token-bearer"}))));
    for path in ["/key-first", "/key-last"] {
        assert_eq!(subject(&gate.verdict(&asked(path))), Some("importer"), "{path}");
        let by_token = GateRequest::get(path).with(bearer.clone());
        assert_eq!(subject(&gate.verdict(&by_token)), Some("token-bearer"), "{path}");
        assert_eq!(subject(&gate.verdict(&GateRequest::logged_in(path))), Some("alice"), "{path}");
        assert_eq!(gate.slug_for(&GateRequest::get(path)), "credential_absent", "{path}");
    }
    let all = |path| asked(path).with(bearer.clone()).with(cookie(&own()));
    assert_eq!(subject(&gate.verdict(&all("/key-first"))), Some("importer"));
    assert_eq!(subject(&gate.verdict(&all("/key-last"))), Some("token-bearer"));
}

/// Only an absent credential may try the next carrier.
#[test]
fn api_key_that_is_refused_is_not_made_up_for_by_a_good_token() {
    let gate = gatehouse().with_alice();
    let bearer = (AUTHORIZATION, bearer(&good()));
    let asked = |text: &str| {
        GateRequest::get("/key-first").with(shown(text)).with(bearer.clone()).with(cookie(&own()))
    };
    assert_eq!(gate.slug_for(&asked("pk_")), "credential_malformed");
    assert_eq!(gate.slug_for(&asked(key().expose())), "store_unavailable");
}

#[test]
fn route_without_api_keys_does_not_look_for_one() {
    let gate = gatehouse().with_alice().with_key();
    assert_eq!(gate.slug_for(&asked("/bearer-only")), "credential_absent");
    assert_eq!(gate.slug_for(&asked("/only/7")), "credential_absent");
    assert_eq!(gate.slug_for(&asked("/only/7").with(cookie(&own()))), PERMITTED);
    assert_eq!(gate.slug_for(&asked("/public").with(shown("pk_"))), PERMITTED);
}

/// What was written as the one is not accepted as the other, whoever wrote it.
#[test]
fn session_is_no_api_key_and_api_key_no_session() {
    let gate = gatehouse();
    let login = StoredSession { last_seen: made().last_seen, record: stored().record };
    let read = gate.read_key(&login);
    assert_eq!(gate.slug_for(&asked("/keys").having_read(read.clone())), "api_key_unknown");
    gate.configuration.gate.sessions.table.publish(read);
    assert_eq!(gate.slug_for(&asked("/keys")), "api_key_unknown");

    let read = gate.read(&own(), &made());
    let by_cookie = GateRequest::logged_in("/only/7");
    assert_eq!(gate.slug_for(&by_cookie.clone().having_read(read.clone())), "session_unknown");
    gate.configuration.gate.sessions.table.publish(read);
    assert_eq!(gate.slug_for(&by_cookie), "session_unknown");
    // Nor is the text of a key what a browser has.
    let text = GateRequest::get("/only/7").with((COOKIE, format!("{NAME}={}", key().expose())));
    assert_ne!(gate.slug_for(&text), PERMITTED);
}

/// No browser sends it on its own, so that no other site can make one send it.
#[test]
fn api_key_may_write_without_an_origin() {
    let gate = gatehouse().with_key();
    for method in [Method::POST, Method::DELETE] {
        assert_eq!(gate.slug_for(&asked("/keys").by(method)), PERMITTED);
    }
}

fn after(gate: &CompiledGate, stored: &StoredSession, seconds: i64) -> &'static str {
    let rules = &gate.configuration.gate.sessions.rules;
    let now = later(seconds);
    gate.revocations.contact(now.steady);
    let read = Arc::new(Session::compile(key().id(), stored, rules, now.steady));
    gate.slug_for(&asked("/keys").at(now).having_read(read))
}

#[test]
fn api_key_lives_until_its_end_however_long_it_rests() {
    let gate = gatehouse();
    assert_eq!(after(&gate, &made(), 90 * DAY_S - 1), PERMITTED);
    assert_eq!(after(&gate, &made(), 90 * DAY_S), "api_key_expired");
    // Rules that became stricter since hold for it, too.
    let gate = with(&["api_keys: {max_lifetime: 2d}"], FOR_KEYS);
    assert_eq!(after(&gate, &made(), 2 * DAY_S - 1), PERMITTED);
    assert_eq!(after(&gate, &made(), 2 * DAY_S), "api_key_expired");
}

#[test]
fn api_key_is_cut_off_by_itself_or_with_its_subject() {
    for scope in [
        Scope::Session(key().id().to_string().into()),
        Scope::Subject { issuer: Some("gateway".into()), subject: "importer".into() },
        Scope::Issuer("gateway".into()),
    ] {
        let gate = gatehouse().with_key();
        gate.revoke(scope.clone(), NOW);
        assert_eq!(gate.slug_for(&asked("/keys")), "api_key_revoked", "{scope}");
    }
}

#[test]
fn api_key_travels_in_the_header_of_the_configuration() {
    let gate = with(&["api_keys: {header: X-Service-Key}"], FOR_KEYS).with_key();
    let field = (HeaderName::from_static("x-service-key"), key().expose().to_owned());
    assert_eq!(gate.slug_for(&GateRequest::get("/keys").with(field)), PERMITTED);
    assert_eq!(gate.slug_for(&asked("/keys")), "credential_absent");
}
