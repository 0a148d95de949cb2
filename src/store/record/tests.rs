//! Records are read as they were written, and an unreadable one revokes nothing by mistake.

use proptest::prelude::*;

use super::*;

fn scope() -> impl Strategy<Value = Scope> {
    let text = || any::<String>().prop_map(Into::<Box<str>>::into);
    let perhaps = || proptest::option::of(any::<String>().prop_map(Into::<Box<str>>::into));
    prop_oneof![
        (text(), text()).prop_map(|(issuer, id)| Scope::Token { issuer, id }),
        text().prop_map(Scope::Session),
        (perhaps(), text()).prop_map(|(issuer, subject)| Scope::Subject { issuer, subject }),
        text().prop_map(Scope::Client),
        (perhaps(), text()).prop_map(|(issuer, id)| Scope::Key { issuer, id }),
        text().prop_map(Scope::Issuer),
        Just(Scope::Everything),
        (text(), text()).prop_map(|(issuer, subject)| Scope::Grants { issuer, subject }),
    ]
}

fn owner() -> impl Strategy<Value = Option<Owner>> {
    let time = || any::<i64>().prop_map(UnixTime::from_seconds);
    let owner = (any::<String>(), any::<String>(), time(), time());
    let owner = owner.prop_map(|(issuer, subject, dated, until)| Owner {
        issuer: issuer.into(),
        subject: subject.into(),
        dated,
        until,
    });
    proptest::option::of(owner)
}

proptest! {
    #[test]
    fn record_is_read_as_it_was_written(
        scope in scope(),
        cut_off in any::<i64>(),
        expires in any::<i64>(),
        written_us in any::<u64>(),
        mark in any::<u64>(),
        actor in any::<String>(),
        reason in any::<String>(),
        owner in owner(),
    ) {
        let time = UnixTime::from_seconds;
        let entry = Entry { scope, cut_off: time(cut_off), expires: time(expires) };
        let (actor, reason) = (actor.into(), reason.into());
        let record = Record {
            entry,
            written_us,
            actor,
            reason,
            owner,
            is_for_nobody: false,
            mark,
            lifts: [].into(),
        };
        let read = Record::decode(record.encode().as_bytes()).expect("it reads");
        prop_assert_eq!(read, Read::Record(record));
    }

    #[test]
    fn noise_is_an_error_and_not_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = Record::decode(&bytes);
    }
}

#[test]
fn lift_is_read_as_it_was_written_and_what_cannot_be_read_lifts_nothing() {
    let scope = Scope::Subject { issuer: None, subject: "ada".into() };
    let expires = UnixTime::from_seconds(9);
    let entry = Entry { scope, cut_off: UnixTime::from_seconds(5), expires };
    let id = RevocationId::of(&entry, 7, MadeBy::Operator);
    let record = Record {
        entry,
        written_us: 8,
        actor: "ops".into(),
        reason: "a mistake".into(),
        owner: None,
        is_for_nobody: true,
        mark: 3,
        lifts: [Lifted { id, expires }].into(),
    };
    let text = record.encode();
    assert!(text.contains(r#""kind":"lift""#), "{text}");
    assert_eq!(Record::decode(text.as_bytes()).expect("reads"), Read::Record(record));
    let token = id.to_string().replace(&id.to_string()[15..], "0");
    for (from, to) in [
        ("\"subject\"", "\"session\""),
        ("\"subject\"", "\"planet\""),
        (&*id.to_string(), "x"),
        (&*id.to_string(), &*token),
        ("\"id\":\"ada\",", ""),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        assert_eq!(Record::decode(other.as_bytes()).expect("reads"), Read::Other, "{other}");
    }
    let revocation = text.replace(r#""kind":"lift""#, r#""kind":"revocation""#);
    let Ok(Read::Record(revocation)) = Record::decode(revocation.as_bytes()) else {
        panic!("it reads")
    };
    assert!(!revocation.is_lift());
}

#[test]
fn unknown_kind_is_passed_over_and_unknown_scope_is_not() {
    assert_eq!(Record::decode(br#"{"kind":"invalidate","x":1}"#).expect("reads"), Read::Other);
    for text in [
        r#"{"kind":"revocation","scope":"planet","id":"earth"}"#,
        r#"{"kind":"revocation","scope":"token","id":"1"}"#,
        r#"{"kind":"revocation","scope":"subject"}"#,
        r#"{"kind":"revocation"}"#,
        r#"{"scope":"everything"}"#,
        "{}",
        "",
    ] {
        assert!(Record::decode(text.as_bytes()).is_err(), "{text}");
    }
}
