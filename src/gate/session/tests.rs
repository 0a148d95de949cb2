use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::gate::forward::IdentityTemplate;
use crate::gate::forward::OwnedName;
use crate::gate::request::{Request, Scheme};
use crate::gate::time::Moment;
use crate::gate::time::{SteadyTime, UnixTime};

const NAME: &str = "__Host-session";

fn rules() -> CookieRules {
    CookieRules { name: NAME.into(), domain: None, same_site: SameSite::Lax, set_by: SetBy::Secure }
}

fn secret(seed: u8) -> SessionSecret {
    SessionSecret::from_random([seed; 32])
}

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name.clone(), HeaderValue::from_str(value).expect("a header value"));
    }
    headers
}

fn find(fields: &[&str]) -> Result<Option<SessionId>, Ambiguous> {
    let fields: Vec<_> = fields.iter().map(|field| (COOKIE, *field)).collect();
    rules().find(&headers(&fields)).map(|found| found.map(|secret| secret.id()))
}

#[test]
fn cookie_is_found_among_others_and_over_several_fields() {
    let own = format!("{NAME}={}", secret(7).expose());
    let id = Ok(Some(secret(7).id()));
    assert_eq!(find(&[&own]), id);
    assert_eq!(find(&[&format!("a=b; {own}; c")]), id);
    assert_eq!(find(&[&format!("a=b;{own}")]), id);
    assert_eq!(find(&["a=b", &own]), id);
    assert_eq!(find(&[]), Ok(None));
    assert_eq!(find(&["a=b; session=1; x__Host-session=1; __host-session=1"]), Ok(None));
}

#[test]
fn repeated_or_malformed_cookie_is_refused() {
    let good = secret(7).expose();
    let own = format!("{NAME}={good}");
    let (last, rest) = (good.chars().last().expect("text"), &good[..42]);
    // 43 characters hold two bits more than 256; they must be zero.
    let next = char::from(last as u8 + 1);
    for fields in [
        vec![format!("{own}; {own}")],
        vec![own.clone(), own.clone()],
        vec![format!("{own}; {NAME}")],
        vec![format!("{own}; {NAME} =x")],
        vec![NAME.to_owned()],
        vec![format!("{NAME}=")],
        vec![format!("{NAME}={rest}")],
        vec![format!("{own}A")],
        vec![format!("{own}=")],
        vec![format!("{NAME}=\"{good}\"")],
        vec![format!("{NAME}={rest}{next}")],
        vec![format!("{NAME}={rest}+")],
        vec![format!("{NAME}={}", "a".repeat(10_000))],
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(find(&fields), Err(Ambiguous), "{fields:?}");
    }
}

#[test]
fn cookie_is_set_and_cleared_with_what_makes_it_safe() {
    let secret = secret(7);
    let value = secret.expose();
    assert_eq!(
        rules().set(&secret),
        format!("{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")
    );
    assert_eq!(
        rules().clear(),
        format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
    );
    let shared = CookieRules {
        name: "session".into(),
        domain: Some("example.com".into()),
        same_site: SameSite::Strict,
        set_by: SetBy::Anything,
    };
    assert_eq!(
        shared.set(&secret),
        format!("session={value}; Path=/; Domain=example.com; HttpOnly; SameSite=Strict")
    );
}

#[test]
fn upstreams_neither_get_nor_set_the_cookie() {
    let own = format!("{NAME}={}", secret(7).expose());
    let strip = |field: &str| {
        let kept = rules().strip(field.as_bytes());
        kept.map(|kept| String::from_utf8(kept).expect("text"))
    };
    assert_eq!(strip("a=b; c=d"), None);
    assert_eq!(strip(&format!("x{own}")), None);
    assert_eq!(strip(&own).as_deref(), Some(""));
    assert_eq!(strip(&format!("a=b; {own}; c=d")).as_deref(), Some("a=b; c=d"));
    assert_eq!(strip(&format!("{own}; a=b; {own}; {NAME}; {NAME} =x")).as_deref(), Some("a=b"));
    assert!(rules().is_set_by(format!("{own}; Path=/").as_bytes()));
    assert!(rules().is_set_by(format!(" {NAME} = x").as_bytes()));
    assert!(!rules().is_set_by(format!("other={own}").as_bytes()));
}

proptest! {
    #[test]
    fn secret_is_read_as_it_was_given_out(bits in any::<[u8; 32]>()) {
        let secret = SessionSecret::from_random(bits);
        let read = SessionSecret::parse(secret.expose().as_bytes()).expect("it reads");
        prop_assert_eq!(read.id(), secret.id());
        let id = secret.id();
        prop_assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        prop_assert!(id.to_string() != secret.expose());
    }

    #[test]
    fn what_is_stripped_is_not_found(field in "[ -~]{0,40}", place in 0..3_usize) {
        let own = format!("{NAME}={}", SessionSecret::from_random([1; 32]).expose());
        let field = match place {
            0 => format!("{own};{field}"),
            1 => format!("{field};{own}"),
            _ => format!("{field}; {own} ;{field}"),
        };
        let kept = rules().strip(field.as_bytes()).expect("it is there");
        let kept = HeaderValue::from_bytes(&kept).expect("a header value");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, kept);
        prop_assert!(matches!(rules().find(&headers), Ok(None)));
    }
}

fn permits(method: Method, fields: &[(HeaderName, &str)]) -> bool {
    let request = Request {
        scheme: Scheme::Https,
        method: &method,
        authority: Some("shop.example"),
        target: "/",
        headers: &headers(fields),
        session: None,
    };
    Origins(vec!["https://app.example".into()]).permit(&request, &secret(7))
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

#[test]
fn another_site_may_read_and_not_write() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        assert!(permits(method, &[(SITE, "cross-site")]));
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert!(!permits(method, &[(SITE, "cross-site")]));
    }
    let brew = Method::from_bytes(b"BREW").expect("a method");
    assert!(!permits(brew, &[(SITE, "cross-site")]));
}

#[test]
fn upgrade_is_a_write() {
    let upgrade = (http::header::UPGRADE, "websocket");
    assert!(!permits(Method::GET, &[upgrade.clone(), (ORIGIN, "https://evil.example")]));
    assert!(!permits(Method::GET, std::slice::from_ref(&upgrade)));
    assert!(permits(Method::GET, &[upgrade, (ORIGIN, "https://shop.example")]));
}

#[test]
fn sec_fetch_site_goes_before_origin() {
    let own = (ORIGIN, "https://shop.example");
    for (site, expected) in [
        ("same-origin", true),
        ("none", true),
        ("same-site", false),
        ("cross-site", false),
        ("Same-Origin", false),
        ("", false),
        ("same-origin, same-origin", false),
    ] {
        assert_eq!(permits(Method::POST, &[(SITE, site)]), expected, "{site}");
        assert_eq!(permits(Method::POST, &[(SITE, site), own.clone()]), expected, "{site}");
    }
    let listed = (ORIGIN, "https://app.example");
    assert!(permits(Method::POST, &[(SITE, "cross-site"), listed.clone()]));
    assert!(permits(Method::POST, &[(SITE, "same-site"), listed]));
    assert!(!permits(Method::POST, &[(SITE, "same-origin"), (SITE, "same-origin")]));
}

#[test]
fn origin_is_compared_whole() {
    for (origin, expected) in [
        ("https://shop.example", true),
        ("https://app.example", true),
        ("http://shop.example", false),
        ("https://shop.example:8443", false),
        ("https://shop.example.evil.example", false),
        ("https://evil-shop.example", false),
        ("https://app.example/", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(permits(Method::POST, &[(ORIGIN, origin)]), expected, "{origin}");
    }
    let twice = [(ORIGIN, "https://shop.example"), (ORIGIN, "https://shop.example")];
    assert!(!permits(Method::POST, &twice));
}

#[test]
fn client_that_says_nothing_shows_the_token() {
    let good = secret(7).csrf_token();
    assert!(permits(Method::POST, &[(TOKEN, &good)]));
    assert!(!permits(Method::POST, &[]));
    assert!(!permits(Method::POST, &[(TOKEN, "")]));
    assert!(!permits(Method::POST, &[(TOKEN, &secret(8).csrf_token())]));
    assert!(!permits(Method::POST, &[(TOKEN, &good), (TOKEN, &good)]));
    // It does not make up for a foreign origin.
    assert!(!permits(Method::POST, &[(TOKEN, &good), (ORIGIN, "https://evil.example")]));
}

fn session_rules(idle_max_s: i64, lifetime_max_s: i64) -> SessionRules {
    let name = |text: &str| OwnedName::new(text).expect("a name");
    SessionRules::new(
        SessionTerms {
            outlived_s: 43_200,
            api_key_lifetime_max_s: 7_776_000,
            identity_bytes_max: 8192,
            cookie: rules(),
            idle_max_s,
            lifetime_max_s,
            recheck_ms: 5_000,
            origins: Origins::default(),
            asked_claims: vec!["tenant".into()],
            identity: Arc::new(IdentityTemplate {
                subject: name("X-Subject"),
                issuer: name("X-Issuer"),
                scopes: name("X-Scopes"),
                roles: name("X-Roles"),
                session: name("X-Session"),
                claims: vec![("email".into(), name("X-Email"))],
            }),
        },
        None,
    )
}

fn stored(created: i64) -> StoredSession {
    let claims = [("tenant", "acme"), ("email", "a@example.com")];
    let claims = claims.map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect();
    StoredSession {
        record: SessionRecord {
            kind: SessionKind::Login(LoginDetails {
                family: "f".into(),
                user_agent: "".into(),
                address: "".into(),
            }),
            subject: "alice".into(),
            issuer: "gateway".into(),
            method: "password".into(),
            roles: vec!["clerk".into()],
            scopes: vec!["orders:read".into()],
            claims,
            created: UnixTime::from_seconds(created),
            ends: UnixTime::from_seconds(created + 1000),
            idle_s: 100,
        },
        last_seen: UnixTime::from_seconds(created),
    }
}

const ID: fn() -> SessionId = || SessionSecret::from_random([7; 32]).id();

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn steady(milliseconds: u64) -> SteadyTime {
    SteadyTime::from_millis(milliseconds)
}

#[test]
fn session_tells_who_it_is_like_a_token() {
    let session = Session::compile(ID(), &stored(10), &session_rules(100, 1000), steady(0));
    let headers = session.authentic().identity().headers();
    let told: Vec<_> = headers
        .iter()
        .map(|(name, value)| {
            let name = std::str::from_utf8(name).expect("a name");
            format!("{name}: {}", value.to_str().expect("text"))
        })
        .collect();
    let id = format!("X-Session: {}", ID());
    let expected = [
        "X-Subject: alice",
        "X-Issuer: gateway",
        "X-Scopes: orders:read",
        "X-Roles: clerk",
        &id,
        "X-Email: a@example.com",
    ];
    assert_eq!(told, expected);
}

#[test]
fn stricter_rules_hold_for_sessions_that_are_there() {
    let compile = |idle_s, lifetime_s| {
        let session =
            Session::compile(ID(), &stored(10), &session_rules(idle_s, lifetime_s), steady(0));
        (session.idle_ends(), session.authentic().end())
    };
    assert_eq!(compile(100, 1000), (at(110), at(1010)));
    assert_eq!(compile(200, 2000), (at(110), at(1010)));
    assert_eq!(compile(50, 500), (at(60), at(510)));
}

#[test]
fn use_is_written_down_once_in_a_tenth_of_the_idle_time() {
    let session = Session::compile(ID(), &stored(10), &session_rules(100, 1000), steady(0));
    assert!(!session.touch(at(19)));
    assert!(session.touch(at(20)));
    assert_eq!(session.idle_ends(), at(120));
    assert!(!session.touch(at(29)));
    assert!(!session.touch(at(5)), "a clock that was set back");
    assert!(session.touch(at(30)));
    session.was_seen(at(25));
    assert_eq!(session.last_seen(), at(30));
}

fn found(table: &SessionTable, rules: &SessionRules, now_ms: u64) -> &'static str {
    match table.find(
        &ID(),
        rules,
        Moment { wall: at(10), steady: steady(now_ms), ..Moment::default() },
    ) {
        Held::Current(_) => "current",
        Held::Aged(_) => "aged",
        Held::Changed(_) => "changed",
        Held::Absent => "absent",
    }
}

fn table_with(rules: &SessionRules, read_ms: u64) -> Arc<SessionTable> {
    let table = SessionTable::new(1 << 20);
    table.publish(Arc::new(Session::compile(ID(), &stored(10), rules, steady(read_ms))));
    table
}

#[test]
fn session_ages_where_nobody_tells_of_changes() {
    let rules = session_rules(100, 1000);
    let table = table_with(&rules, 1_000);
    assert_eq!(found(&table, &rules, 6_000), "current");
    assert_eq!(found(&table, &rules, 6_001), "aged");
    table.changed(&ID());
    assert_eq!(found(&table, &rules, 1_000), "changed");
}

#[test]
fn session_stays_current_while_changes_are_told() {
    let rules = session_rules(100, 1000);
    let table = table_with(&rules, 1_000);
    table.notified_from(steady(500));
    table.notified_until(steady(90_000));
    assert_eq!(found(&table, &rules, 95_000), "current");
    assert_eq!(found(&table, &rules, 95_001), "aged");
}

#[test]
fn session_read_before_changes_were_told_is_read_again() {
    let rules = session_rules(100, 1000);
    let table = table_with(&rules, 1_000);
    table.notified_from(steady(1_001));
    table.notified_until(steady(90_000));
    assert_eq!(found(&table, &rules, 90_000), "aged");
    table.publish(Arc::new(Session::compile(ID(), &stored(10), &rules, steady(2_000))));
    assert_eq!(found(&table, &rules, 90_000), "current");
}

#[test]
fn session_that_cannot_be_read_again_is_believed_for_a_while() {
    let rules = session_rules(100, 1000);
    let table = table_with(&rules, 1_000);
    let session = Session::compile(ID(), &stored(10), &rules, steady(1_000));
    let is_believed = |age_max_ms: u64, ms: u64| {
        let now = Moment { steady: steady(ms), ..Moment::default() };
        table.is_believed(&session, &rules, age_max_ms, now)
    };
    // `recheck` is 5 s, and asking may take two.
    assert!(is_believed(0, 8_000) && !is_believed(0, 8_001));
    assert!(is_believed(9_000, 12_000) && !is_believed(9_000, 12_001));
    assert!(is_believed(u64::MAX, 900_000));
    // For as long as changes were told it was sure, also when they are told again.
    table.notified_from(steady(500));
    table.notified_until(steady(50_000));
    assert!(is_believed(0, 57_000) && !is_believed(0, 57_001));
    table.notified_from(steady(50_600));
    table.notified_until(steady(90_000));
    assert!(is_believed(0, 57_000) && !is_believed(0, 57_001));
}

#[test]
fn session_built_by_other_rules_does_not_count() {
    let rules = session_rules(100, 1000);
    let table = table_with(&rules, 1_000);
    assert_eq!(found(&table, &session_rules(100, 1000), 1_000), "absent");
    assert_eq!(found(&table, &rules, 1_000), "current");
}
