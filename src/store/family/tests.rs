//! How families are stored.

use super::*;

fn family() -> Family {
    Family {
        session: SessionId::from_bytes([7; 32]),
        client: "the \"client\"".into(),
        scopes: vec!["orders:read".into(), "ü".into()],
        created: UnixTime::from_seconds(1_700_000_000),
        ends: UnixTime::NEVER,
        idle_s: 604_800,
        key: std::array::from_fn(|i| i as u8),
    }
}

#[test]
fn family_is_read_as_it_was_written() {
    let family = family();
    let read = decode(family.session, encode(&family).as_bytes()).expect("it reads");
    assert_eq!(read, family);
    let bare = Family { client: "".into(), scopes: Vec::new(), key: [0; 32], ..family };
    assert_eq!(decode(bare.session, encode(&bare).as_bytes()).expect("it reads"), bare);
}

/// Later versions must read what is in stores now.
#[test]
fn family_of_the_first_version_is_read() {
    let key = serde_json::to_string(&family().key).expect("numbers");
    let text = format!(
        r#"{{"version":1,"client":"the \"client\"","scopes":["orders:read","ü"],"created":1700000000,"ends":9223372036854775807,"idle_s":604800,"key":{key}}}"#
    );
    assert_eq!(decode(family().session, text.as_bytes()).expect("it reads"), family());
    assert_eq!(encode(&family()), text);
}

#[test]
fn unknown_fields_are_passed_over_and_missing_ones_end_it() {
    let key = serde_json::to_string(&[3_u8; 32]).expect("numbers");
    let text = format!(r#"{{"version":1,"key":{key},"device":{{"a":[1]}}}}"#);
    let read = decode(family().session, text.as_bytes()).expect("it reads");
    assert_eq!((read.key, read.ends, read.idle_s), ([3; 32], UnixTime::from_seconds(0), 0));
}

#[test]
fn later_version_and_noise_are_unreadable() {
    let later = encode(&family()).replace(r#""version":1"#, r#""version":2"#);
    let short = encode(&family()).replace(",31]", "]");
    for text in [&*later, &short, r#"{"version":1}"#, r#"{"version":"1"}"#, "{}", "[]", "", "x"] {
        assert!(decode(family().session, text.as_bytes()).is_err(), "{text}");
    }
    let error = decode(family().session, later.as_bytes()).expect_err("it is later");
    assert!(error.to_string().contains("later version 2"), "{error}");
}

#[test]
fn key_is_not_shown() {
    let family = Family { key: [199; 32], ..family() };
    assert!(!format!("{family:?}").contains("199"), "{family:?}");
}

#[test]
fn digest_is_read_as_it_was_written_and_in_no_other_spelling() {
    let digest = TokenDigest { place: 17, digest: std::array::from_fn(|i| 255 - i as u8) };
    let text = digest.to_string();
    assert_eq!((text.len(), TokenDigest::parse(&text)), (46, Some(digest)));
    let padded = format!("{text}=");
    let negative = format!("-{text}");
    for other in ["", &text[..45], &text[3..], &padded, &negative, "not base64url at all"] {
        assert_eq!(TokenDigest::parse(other), None, "{other}");
    }
}

#[test]
fn family_rests_until_it_was_idle_for_too_long_or_ends() {
    let ends = UnixTime::from_seconds(1000);
    let family = Family { ends, idle_s: 100, ..family() };
    for (used, until) in [(0, 100), (899, 999), (900, 1000), (950, 1000), (i64::MAX, 1000)] {
        let until = UnixTime::from_seconds(until);
        assert_eq!(rests_until(&family, UnixTime::from_seconds(used)), until, "{used}");
    }
}
