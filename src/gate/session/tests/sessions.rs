//! Sessions in memory: their identity, and for how long they are trusted.

use super::*;

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
    // `recheck` is 5 s, and a re-read may take two.
    assert!(is_believed(0, 8_000) && !is_believed(0, 8_001));
    assert!(is_believed(9_000, 12_000) && !is_believed(9_000, 12_001));
    assert!(is_believed(u64::MAX, 900_000));
    // It is trusted for as long as notifications were complete, also once they start again.
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
