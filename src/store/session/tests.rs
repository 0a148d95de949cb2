//! How sessions are stored, and where they are listed.

use super::*;

fn record(kind: SessionKind) -> SessionRecord {
    SessionRecord {
        kind,
        subject: "ada".into(),
        issuer: "https://gateway.test".into(),
        method: "password".into(),
        roles: vec!["admin".into()],
        scopes: vec!["read".into()],
        claims: Map::new(),
        created: UnixTime::from_seconds(7),
        ends: UnixTime::from_seconds(9),
        idle_s: 2,
    }
}

fn login() -> LoginDetails {
    LoginDetails { family: "f".into(), user_agent: "ü".into(), address: "192.0.2.7".into() }
}

fn api_key() -> SessionKind {
    SessionKind::ApiKey(ApiKeyDetails { label: "nightly \"job\"".into() })
}

#[test]
fn record_of_each_kind_is_read_as_it_was_written() {
    for kind in [SessionKind::Login(login()), SessionKind::Tokens(login()), api_key()] {
        let record = record(kind);
        assert_eq!(decode(encode(&record).as_bytes()).expect("it reads"), record);
    }
}

/// What the version before API keys wrote, and can still read.
#[test]
fn record_without_a_kind_is_of_a_login() {
    let text = r#"{"version":1,"subject":"ada","issuer":"i","method":"password","created":7,"ends":9,"idle_s":2,"family":"f","user_agent":"","address":""}"#;
    let read = decode(text.as_bytes()).expect("it reads");
    let login = LoginDetails { family: "f".into(), ..LoginDetails::default() };
    assert_eq!(read.kind, SessionKind::Login(login));
    assert_eq!(encode(&read), text);
}

#[test]
fn unknown_fields_are_passed_over_and_unknown_kinds_are_not() {
    let text = r#"{"version":1,"subject":"ada","issuer":"i","device":{"kind":"x"}}"#;
    assert_eq!(&*decode(text.as_bytes()).expect("it reads").subject, "ada");
    let api_key = encode(&record(api_key()));
    assert!(api_key.contains(r#""kind":"api_key""#), "{api_key}");
    for text in [
        api_key.replace("api_key", "robot"),
        api_key.replace(r#""version":1"#, r#""version":2"#),
        api_key.replace(r#""subject":"ada""#, r#""subject":"""#),
    ] {
        assert!(decode(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn api_keys_are_listed_together_and_apart_from_logins() {
    let of = |kind, subject: &str| {
        listed_under(&SessionRecord { subject: subject.into(), ..record(kind) })
    };
    let (ada, bob) =
        (of(SessionKind::Login(login()), "ada"), of(SessionKind::Login(login()), "bob"));
    assert_ne!(ada, bob);
    assert_eq!(of(api_key(), "ada"), of(api_key(), "bob"));
    assert!(![ada, bob].contains(&of(api_key(), "ada")));
    assert_eq!(room_for(&record(SessionKind::Login(login()))), Some(SESSIONS_PER_SUBJECT_MAX));
    assert_eq!(room_for(&record(api_key())), None);
}
