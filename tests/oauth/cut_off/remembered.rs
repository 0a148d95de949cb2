//! For how long cut-offs and reuse are remembered, and by whom.

use super::*;

/// What is cut off must be remembered for as long as its refresh tokens could be exchanged.
#[test]
fn cut_offs_are_remembered_as_long_as_refresh_tokens_live() {
    let sections = "
tokens:
  issuer: https://gateway.test
  access: { audiences: [orders-api] }
  refresh: { idle: 2d, absolute: 20d, rotation_grace: 0s }
clients: [{ id: app, public: true }]
api_keys: { max_lifetime: 1d }
";
    let site = IssuingFleet::embedded(sections);
    let now = crate::harness::tokens::now();
    let alice = Granted::log_in(site.at(1), "alice");
    let web = browser(&site, 1, "alice");
    assert_eq!(post(site.at(1), "/auth/revoke", &[("token", &alice.refresh)]).status, 200);
    assert_eq!(web.send(site.at(1), "POST", "/auth/logout-everywhere").status, 204);
    let bob = Granted::log_in(site.at(1), "bob");
    command(site.gateway(1), &["sessions", "end", &bob.session()]);
    command(site.gateway(1), &["sessions", "end", "--subject", "bob"]);
    for draft in [
        json!({ "scope": "subject", "subject": "carol" }),
        json!({ "scope": "subject", "subject": "carol", "issuer": OWN }),
        json!({ "scope": "session", "session": bob.session() }),
        json!({ "scope": "client", "client": "app" }),
        json!({ "scope": "client", "client": "first-party" }),
        json!({ "scope": "issuer", "issuer": OWN }),
        json!({ "scope": "everything" }),
    ] {
        cut_off(&site, draft);
    }
    let cuts = revocations(site.gateway(1));
    assert!(cuts.len() >= 9, "{cuts:?}");
    for cut in cuts {
        let text = cut["expires_at"].as_str().unwrap_or_else(|| panic!("a date: {cut}"));
        let expires = humantime::parse_rfc3339(text).expect("RFC 3339");
        let expires = expires.duration_since(std::time::UNIX_EPOCH).expect("it is later");
        let expires = i64::try_from(expires.as_secs()).expect("a date");
        assert!(expires >= now + 20 * DAY_S, "{cut}");
        // Of a session somewhere else nobody here knows how long it lives: 30 days more.
        assert!(expires <= now + 51 * DAY_S, "for ever would be too long: {cut}");
    }
}

/// What was reused is gone from the store, and remembered as long as its access tokens, and what gateways
/// have in memory, can live.
#[test]
fn reuse_is_remembered_as_long_as_what_it_leaves_can_live() {
    let sections = "
tokens:
  issuer: https://gateway.test
  access: { audiences: [orders-api] }
  refresh: { idle: 2d, absolute: 20d, rotation_grace: 0s }
clients: [{ id: app, public: true }]
api_keys: { max_lifetime: 1d }
";
    let site = IssuingFleet::embedded(sections);
    let now = crate::harness::tokens::now();
    let alice = Granted::log_in(site.at(1), "alice");
    let third = alice.next(site.at(1)).next(site.at(1));
    assert_invalid_grant(&refresh(site.at(1), &alice.refresh));
    await_told(site.at(1), HOME, &third.access, &denied(401, "token_revoked"));
    let cuts = revocations(site.gateway(1));
    let [cut] = &cuts[..] else { panic!("one entry: {cuts:?}") };
    let expires = humantime::parse_rfc3339(cut["expires_at"].as_str().expect("a date"));
    let expires = expires.expect("RFC 3339").duration_since(std::time::UNIX_EPOCH).expect("later");
    let hours =
        |hours: i64| Duration::from_secs(u64::try_from(now + hours * 3600).expect("a date"));
    assert!((hours(2)..hours(3)).contains(&expires), "{cut}");
}

/// A cut-off that was written while a gateway was away is in force there before anybody is let in.
#[test]
fn gateway_that_starts_later_exchanges_nothing_of_who_was_cut_off() {
    let server = RedisServer::start();
    let mut site = IssuingFleet::on(&server, "", 1);
    let alice = Granted::log_in(site.at(1), "alice");
    let draft = json!({ "scope": "subject", "subject": "u-17", "issuer": OWN });
    assert_eq!(admin(site.gateway(1), "POST", "/v1/revocations", &draft).status, 201);
    site.join();
    assert_invalid_grant(&refresh(site.at(2), &alice.refresh));
    assert_eq!(ask(site.at(2), HOME, &alice.access), denied(401, "token_revoked"));
}
