//! Sessions that were ended from outside, and what is said of those that the store does not have.

use portcullis::gate::credential::Carrier;
use portcullis::gate::denial::Slug;
use portcullis::gate::revocation::Scope;

use super::*;

/// The scope of one session, as the log tells it.
fn of_session(secret: &SessionSecret) -> Scope {
    Scope::Session(secret.id().to_string().into())
}

fn of_subject(issuer: Option<&str>) -> Scope {
    Scope::Subject { issuer: issuer.map(Into::into), subject: "alice".into() }
}

/// A request of alice's, with what was read for it or from memory.
fn said(gate: &CompiledGate) -> &'static str {
    gate.slug_for(&GateRequest::logged_in("/only/7"))
}

#[test]
fn session_is_ended_by_its_id_whatever_the_time() {
    let gate = gatehouse().with_alice();
    assert_eq!(said(&gate), PERMITTED);
    gate.revoke(of_session(&secret(8)), i64::MAX);
    assert_eq!(said(&gate), PERMITTED, "that was another one");
    gate.revoke(of_session(&own()), i64::MAX);
    assert_eq!(said(&gate), "session_revoked");
    // However fresh the copy is that the store still has.
    let read = gate.read(&own(), &stored());
    let asked = GateRequest::logged_in("/only/7").having_read(read);
    assert_eq!(gate.slug_for(&asked), "session_revoked");
}

/// The secret is nobody's business, so it is no scope either.
#[test]
fn session_is_not_known_by_its_secret() {
    let gate = gatehouse().with_alice();
    gate.revoke(Scope::Session(own().expose().into()), i64::MAX);
    assert_eq!(said(&gate), PERMITTED);
}

#[test]
fn subject_issuer_and_everybody_are_cut_off_up_to_a_second() {
    for scope in [
        of_subject(Some("gateway")),
        of_subject(None),
        Scope::Issuer("gateway".into()),
        Scope::Everything,
    ] {
        let gate = gatehouse().with_alice();
        gate.revoke(scope.clone(), NOW - 1);
        assert_eq!(said(&gate), PERMITTED, "{scope}: the login was later");
        gate.revoke(scope.clone(), NOW);
        assert_eq!(said(&gate), "session_revoked", "{scope}");
        // Who logs in anew is somebody again.
        let mut anew = stored();
        anew.record.created = UnixTime::from_seconds(NOW + 1);
        let asked = GateRequest::logged_in("/only/7").at(later(1));
        let read = gate.read(&own(), &anew);
        assert_eq!(gate.slug_for(&asked.having_read(read)), PERMITTED, "{scope}");
    }
}

#[test]
fn cut_offs_of_others_do_not_end_a_session() {
    let gate = gatehouse().with_alice();
    for scope in [
        of_subject(Some(ISSUER)),
        Scope::Subject { issuer: None, subject: "bob".into() },
        Scope::Issuer(ISSUER.into()),
        Scope::Client("gateway".into()),
        Scope::Key { issuer: None, id: "gateway".into() },
        Scope::Token { issuer: "gateway".into(), id: own().id().to_string().into() },
    ] {
        gate.revoke(scope.clone(), NOW + 1000);
        assert_eq!(said(&gate), PERMITTED, "{scope}");
    }
}

#[test]
fn revoked_session_is_told_apart_by_its_own_slug_where_tokens_are_taken_too() {
    let gate = gatehouse().with_alice();
    gate.revoke(of_subject(None), NOW);
    for path in ["/bearer-first", "/session-first", "/only/7"] {
        assert_eq!(gate.slug_for(&GateRequest::logged_in(path)), "session_revoked", "{path}");
    }
    let token = (http::header::AUTHORIZATION, bearer(&good()));
    assert_eq!(gate.slug_for(&GateRequest::get("/bearer-only").with(token)), "token_revoked");
}

#[test]
fn session_that_has_expired_is_not_called_revoked() {
    let gate = gatehouse();
    gate.revoke(of_session(&own()), i64::MAX);
    let read = gate.read(&own(), &stored());
    let asked = GateRequest::logged_in("/only/7").at(later(LIFETIME_S)).having_read(read);
    assert_eq!(gate.slug_for(&asked), "session_expired");
}

/// Logging out deletes it, too; whoever comes back with the cookie is told why it is no good, and the
/// store is not asked.
#[test]
fn session_that_was_logged_out_is_told_so_from_memory() {
    for scope in [of_session(&own()), of_subject(Some("gateway")), Scope::Everything] {
        let gate = gatehouse().with_alice();
        gate.configuration.gate.sessions.table.changed(&own().id());
        gate.revoke(scope.clone(), NOW);
        let verdict = gate.verdict(&GateRequest::logged_in("/only/7"));
        assert_eq!(slug_of(&verdict), "session_revoked", "{scope}");
        assert!(wanted(&verdict).is_none() && verdict.findings.session.is_none(), "{scope}");
        let subject = verdict.findings.authentic.as_ref().map(|who| who.subject().as_str());
        assert_eq!(subject, Some("alice"), "the log says whose it was: {scope}");
    }
}

/// The store deletes what was logged out; the log still says that there was something.
#[test]
fn session_that_the_store_does_not_have_is_unknown_unless_the_log_names_it() {
    let gate = gatehouse();
    let absent =
        |secret: SessionSecret| gate.configuration.gate.absent(secret.id(), Carrier::Session);
    assert_eq!(absent(own()).slug(), Slug::SessionUnknown);
    gate.revoke(of_session(&own()), i64::MAX);
    assert_eq!(absent(own()).slug(), Slug::SessionRevoked);
    assert_eq!(absent(secret(8)).slug(), Slug::SessionUnknown);
    gate.revoke(Scope::Everything, NOW);
    assert_eq!(absent(secret(8)).slug(), Slug::SessionUnknown, "nobody knows whose it was");
}

#[test]
fn list_that_is_too_old_is_answered_for_as_the_route_says() {
    let route = |name: &str, when_stale: &str| {
        format!(
            "- {{name: {name}, match: {{path: /{name}}}, upstream: behind, \
             authenticate: [session], when_stale: {when_stale}}}\n"
        )
    };
    let routes = [
        route("denies", "deny"),
        route("allows", "allow"),
        route("writes", "deny_writes"),
        route("waits", "{allow_for: 10s}"),
    ];
    let gate = with(&["sessions: {recheck: 1h}"], &routes.concat()).with_alice();
    let ask = |path: &str, method: &Method, later_ms: u64| {
        let steady = SteadyTime::from_millis(STEADY.as_millis() + later_ms);
        let now = Moment { wall: UnixTime::from_seconds(NOW), steady, ..Moment::default() };
        let asked = GateRequest::logged_in(path).by(method.clone()).at(now);
        let origin = (http::header::ORIGIN, "https://api.test".to_owned());
        gate.slug_for(&asked.with(origin))
    };
    let (get, post) = (&Method::GET, &Method::POST);
    for (path, method, later_ms, expected) in [
        ("/only/7", get, 5000, PERMITTED),
        ("/only/7", get, 5001, "revocation_stale"),
        ("/denies", get, 5001, "revocation_stale"),
        ("/allows", post, 3_000_000, PERMITTED),
        ("/writes", get, 3_000_000, PERMITTED),
        ("/writes", post, 5000, PERMITTED),
        ("/writes", post, 5001, "revocation_stale"),
        ("/waits", get, 15_000, PERMITTED),
        ("/waits", get, 15_001, "revocation_stale"),
    ] {
        assert_eq!(ask(path, method, later_ms), expected, "{path} {method} {later_ms}");
    }
    gate.revoke(of_session(&own()), i64::MAX);
    assert_eq!(ask("/allows", get, 3_000_000), "session_revoked", "whom it knows it refuses");
}

#[test]
fn no_session_passes_before_the_list_was_loaded() {
    let route = "- {name: allows, match: {path: /allows}, upstream: behind, \
                 authenticate: [session], when_stale: allow}\n";
    let gate = CompiledGate::compile_unloaded(&text("", route), &files()).with_alice();
    for path in ["/only/7", "/allows"] {
        assert_eq!(gate.slug_for(&GateRequest::logged_in(path)), "revocation_stale", "{path}");
    }
    assert_eq!(gate.slug_for(&GateRequest::logged_in("/public")), PERMITTED);
}
