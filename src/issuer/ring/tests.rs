use crate::issuer::ring_document::{Form, Others, UnreadableRing};
use proptest::prelude::*;

use super::*;
use crate::issuer::seal::Seal;

mod walk;

const TERMS: Terms = Terms {
    algorithm: Algorithm::EdDSA,
    reach_s: 1000,
    publish_before_s: 100,
    rotate_every_s: Some(5000),
};

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn fresh() -> FreshKey {
    FreshKey::generate(Algorithm::EdDSA).expect("a key")
}

/// A ring with keys that are added at these times, and their ids in that order.
fn ring(times: &[(i64, BeginsTo)]) -> (Ring, Vec<Box<str>>) {
    let mut ring = Ring::default();
    let ids = times.iter().map(|(time, begins)| add(&mut ring, *begins, *time));
    let ids = ids.collect();
    (ring, ids)
}

fn add(ring: &mut Ring, begins: BeginsTo, time: i64) -> Box<str> {
    let fresh = fresh();
    ring.rotate(&fresh, begins, &TERMS, at(time)).expect("there is room");
    fresh.id().into()
}

fn ids(ring: &Ring) -> Vec<&str> {
    ring.keys().iter().map(RingKey::id).collect()
}

/// The key that signs, according to the published set.
fn signing(ring: &Ring, revoked: &[Box<str>], now: i64) -> Option<Box<str>> {
    use crate::issuer::signing_set::SigningSet;
    let set = SigningSet::new(ring.signers(revoked, at(now)), "".into(), 1);
    set.signer(at(now)).map(|signer| signer.id().into())
}

use BeginsTo::{SignAfterPublication, SignNow};

// ---- when a key is due

#[test]
fn key_that_a_clock_dated_a_year_ahead_does_not_hold_up_the_others() {
    const YEAR_S: i64 = 365 * 24 * 3600;
    let (mut ring, ids) = ring(&[(0, SignNow), (YEAR_S, SignAfterPublication)]);
    assert_eq!(ring.due(&TERMS, &[], at(4899)), None);
    assert_eq!(ring.due(&TERMS, &[], at(4900)), Some(Cause::Schedule));
    let next = add(&mut ring, SignAfterPublication, 4900);
    assert_eq!(ring.due(&TERMS, &[], at(4901)), None);
    assert_eq!(signing(&ring, &[], 4999).as_ref(), Some(&ids[0]));
    assert_eq!(signing(&ring, &[], 5000).as_ref(), Some(&next));
    // By a clock that is far behind, all keys begin later. It adds none.
    assert_eq!(ring.due(&TERMS, &[], at(-YEAR_S)), None);
}

// ---- who signs

#[test]
fn first_key_signs_at_once_and_by_a_clock_that_is_behind() {
    let (ring, ids) = ring(&[(0, SignNow)]);
    for now in [0, 1, -200] {
        assert_eq!(signing(&ring, &[], now).as_ref(), Some(&ids[0]), "{now}");
    }
}

#[test]
fn new_key_signs_once_it_has_been_published_for_long_enough() {
    let (ring, ids) = ring(&[(0, SignNow), (1000, SignAfterPublication)]);
    assert_eq!(signing(&ring, &[], 1099).as_ref(), Some(&ids[0]));
    assert_eq!(signing(&ring, &[], 1100).as_ref(), Some(&ids[1]));
}

#[test]
fn new_key_that_is_to_sign_now_signs_now() {
    let (ring, ids) = ring(&[(0, SignNow), (1000, SignNow)]);
    assert_eq!(signing(&ring, &[], 1000).as_ref(), Some(&ids[1]));
    // Even if it was made in the same second.
    let (ring, ids) = self::ring(&[(0, SignNow), (0, SignNow)]);
    assert_eq!(signing(&ring, &[], 0).as_ref(), Some(&ids[1]));
}

#[test]
fn key_comes_after_the_only_one_though_a_faster_clock_began_that() {
    for (begins, from) in [(SignNow, 1000), (SignAfterPublication, 1100)] {
        let (mut ring, ids) = ring(&[(1000, SignNow)]);
        let new = add(&mut ring, begins, 950);
        assert_eq!(signing(&ring, &[], from - 1).as_ref(), Some(&ids[0]));
        assert_eq!(signing(&ring, &[], from), Some(new));
    }
}

#[test]
fn key_that_is_to_sign_now_does_not_wait_for_one_that_is_published() {
    let (mut ring, ids) = ring(&[(0, SignNow), (1000, SignAfterPublication)]);
    let new = add(&mut ring, SignNow, 1050);
    assert_eq!(signing(&ring, &[], 1099).as_ref(), Some(&new));
    assert_eq!(signing(&ring, &[], 1100).as_ref(), Some(&ids[1]));
}

// ---- what is dropped

#[test]
fn key_is_dropped_when_the_last_token_that_it_signed_is_dead() {
    let (mut ring, ids) = ring(&[(0, SignNow), (1000, SignAfterPublication)]);
    let dead = 1100 + 1000 + 2 * CLOCKS_APART_S;
    assert_eq!(ring.retires_at(0), Some(at(dead)));
    ring.prune(at(dead - 1));
    assert_eq!(self::ids(&ring), [&*ids[0], &*ids[1]]);
    ring.prune(at(dead));
    assert_eq!(self::ids(&ring), [&*ids[1]]);
}

#[test]
fn key_that_signs_and_key_that_will_are_never_dropped() {
    let (mut ring, ids) = ring(&[(0, SignNow), (1_000_000, SignAfterPublication)]);
    for now in [999_999, 1_000_099] {
        ring.prune(at(now));
        assert_eq!(self::ids(&ring), [&*ids[0], &*ids[1]]);
    }
    ring.prune(at(i64::MAX));
    assert_eq!(self::ids(&ring), [&*ids[1]]);
    assert_eq!(ring.retires_at(0), None);
}

#[test]
fn key_reaches_as_far_as_the_longest_token_that_it_may_have_signed() {
    let (mut ring, _) = ring(&[(0, SignNow), (1000, SignNow)]);
    ring.raise_reach(5000);
    ring.raise_reach(20);
    let dead = 1000 + 5000 + 2 * CLOCKS_APART_S;
    assert_eq!(ring.retires_at(0), Some(at(dead)));
    assert_eq!(ring.keys()[1].reach_s(), 5000);
}

#[test]
fn ring_holds_so_many_keys_and_no_more() {
    let mut ring = Ring::default();
    for number in 0..KEYS_MAX {
        assert!(!ring.is_full());
        add(&mut ring, SignNow, number as i64);
    }
    assert!(ring.is_full());
    let known = ring.clone();
    assert_eq!(ring.rotate(&fresh(), SignNow, &TERMS, at(100)), Err(Full));
    assert!(ring.is_same_as(&known));
}

// ---- what is due

#[test]
fn ring_without_keys_gets_its_first() {
    assert_eq!(Ring::default().due(&TERMS, &[], at(0)), Some(Cause::First));
}

#[test]
fn key_is_due_so_early_that_it_is_published_when_its_turn_comes() {
    let (mut ring, _) = ring(&[(0, SignNow)]);
    assert_eq!(ring.due(&TERMS, &[], at(4899)), None);
    assert_eq!(ring.due(&TERMS, &[], at(4900)), Some(Cause::Schedule));
    add(&mut ring, SignAfterPublication, 4900);
    assert_eq!(ring.keys()[1].signs_from(), at(5000));
    assert_eq!(ring.due(&TERMS, &[], at(9899)), None);
    assert_eq!(ring.due(&TERMS, &[], at(9900)), Some(Cause::Schedule));
    let for_ever = Terms { rotate_every_s: None, ..TERMS };
    assert_eq!(ring.due(&for_ever, &[], at(i64::MAX)), None);
}

#[test]
fn another_algorithm_makes_a_key_due() {
    let (mut ring, _) = ring(&[(0, SignNow)]);
    let other = Terms { algorithm: Algorithm::ES256, ..TERMS };
    assert_eq!(ring.due(&other, &[], at(10)), Some(Cause::Algorithm));
    let fresh = FreshKey::generate(Algorithm::ES256).expect("a key");
    ring.rotate(&fresh, SignAfterPublication, &other, at(10)).expect("there is room");
    assert_eq!(ring.due(&other, &[], at(10)), None);
    // A gateway with the old configuration waits until the new key signs.
    assert_eq!(ring.due(&TERMS, &[], at(109)), None);
    assert_eq!(ring.due(&TERMS, &[], at(110)), Some(Cause::Algorithm));
}

#[test]
fn gateways_that_want_different_algorithms_do_not_fill_the_ring() {
    let mut ring = Ring::default();
    for number in 0..KEYS_OF_CHANGES_MAX as i64 {
        let other = Terms { algorithm: Algorithm::ES256, ..TERMS };
        assert_ne!(ring.due(&other, &[], at(number)), None, "{number}");
        add(&mut ring, SignNow, number);
    }
    let other = Terms { algorithm: Algorithm::ES256, ..TERMS };
    assert_eq!(ring.due(&other, &[], at(20)), None);
}

// ---- what is revoked

#[test]
fn next_key_takes_the_place_of_a_revoked_one_and_an_old_one_never_does() {
    let turns = [(0, SignNow), (1000, SignNow), (2000, SignAfterPublication)];
    let (mut ring, ids) = ring(&turns);
    let revoked = [ids[1].clone()];
    assert_eq!(signing(&ring, &revoked, 2010).as_ref(), Some(&ids[2]), "before it is dropped");
    assert_eq!(ring.due(&TERMS, &revoked, at(2010)), None);
    ring.expel(&revoked, at(2010));
    assert_eq!(self::ids(&ring), [&*ids[0], &*ids[2]]);
    assert_eq!(signing(&ring, &[], 2010).as_ref(), Some(&ids[2]), "nor after it was");
}

#[test]
fn revoked_key_that_was_to_come_does_not_come() {
    let (mut ring, ids) = ring(&[(0, SignNow), (2000, SignAfterPublication)]);
    let revoked = [ids[1].clone()];
    assert_eq!(signing(&ring, &revoked, 2010).as_ref(), Some(&ids[0]));
    ring.expel(&revoked, at(2010));
    assert_eq!(self::ids(&ring), [&*ids[0]]);
    assert_eq!(signing(&ring, &[], 5000).as_ref(), Some(&ids[0]));
}

#[test]
fn key_is_due_at_once_when_none_is_left_that_may_sign() {
    let (ring, ids) = ring(&[(0, SignNow), (1000, SignNow)]);
    let revoked = [ids[1].clone()];
    assert_eq!(signing(&ring, &revoked, 1010), None, "its turn is over");
    assert_eq!(ring.due(&TERMS, &revoked, at(1010)), Some(Cause::Revoked));
    assert_eq!(Cause::Revoked.begins_to(), SignNow);
}

#[test]
fn revoked_keys_make_room() {
    let times: Vec<_> = (0..KEYS_MAX).map(|number| (number as i64, SignNow)).collect();
    let (mut ring, ids) = ring(&times);
    let revoked = &ids[KEYS_MAX - 1..];
    assert_eq!(ring.due(&TERMS, revoked, at(100)), Some(Cause::Revoked));
    ring.expel(revoked, at(100));
    let new = add(&mut ring, SignNow, 100);
    assert_eq!(signing(&ring, revoked, 100), Some(new));
}

// ---- what was lost

#[test]
fn keys_that_a_store_has_lost_are_put_back() {
    let (known, ids) =
        ring(&[(0, SignNow), (1000, SignNow), (2000, SignNow), (1950, SignAfterPublication)]);
    let mut nothing = Ring::default();
    nothing.recover(&known, &[], at(2040));
    assert!(nothing.is_same_as(&known), "all of them");
    // Even if another ring was begun meanwhile.
    let (mut other, new) = self::ring(&[(2055, SignNow)]);
    other.recover(&known, &[], at(2040));
    assert_eq!(self::ids(&other), [&ids[0], &ids[1], &ids[2], &ids[3], &new[0]].map(|id| &**id));
    // A fail-over that lacks the last writes.
    let mut before = known.clone();
    before.keys.truncate(2);
    before.recover(&known, &[], at(2040));
    assert!(before.is_same_as(&known), "those that sign, now or later");
    // Keys that others have dropped in time, or because they are revoked.
    let mut after = known.clone();
    after.keys.remove(0);
    after.keys.pop();
    after.recover(&known, &ids[3..], at(2040));
    assert_eq!(self::ids(&after), [&*ids[1], &*ids[2]]);
}

// ---- the document

fn seal(byte: u8) -> Seal {
    Ring::seal(&[byte; 32]).expect("a seal")
}

#[test]
fn document_is_read_as_it_was_written() {
    let (mut ring, _) = ring(&[(5, SignNow), (1000, SignAfterPublication)]);
    for algorithm in [Algorithm::ES256, Algorithm::RS256] {
        let fresh = FreshKey::generate(algorithm).expect("a key");
        ring.rotate(&fresh, SignNow, &TERMS, at(1001)).expect("there is room");
    }
    for (seal, form) in [(None, Form::Open), (Some(seal(1)), Form::Sealed)] {
        let bytes = ring.encode(seal.as_ref()).expect("a document");
        let (read, found) = Ring::decode(&bytes, seal.as_ref(), Others::MayWrite).expect("a ring");
        assert!(read.is_same_as(&ring));
        assert_eq!(found, form);
    }
}

#[test]
fn sealed_document_shows_nothing_of_its_keys() {
    use base64::Engine;
    let (ring, ids) = ring(&[(5, SignNow)]);
    let pkcs8 = base64::engine::general_purpose::STANDARD.encode(&**ring.keys[0].pkcs8);
    let holds = |bytes: &[u8], text: &str| {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let open = ring.encode(None).expect("a document");
    assert!(holds(&open, &pkcs8) && holds(&open, "EdDSA"));
    let sealed = ring.encode(Some(&seal(1))).expect("a document");
    for text in [&pkcs8[..20], &*ids[0], "EdDSA", "pkcs8"] {
        assert!(!holds(&sealed, text), "{text}");
    }
}

#[test]
fn document_that_is_open_is_read_with_a_key_only_where_nobody_else_writes() {
    let (ring, _) = ring(&[(5, SignNow)]);
    let open = ring.encode(None).expect("a document");
    let seal = seal(1);
    let (read, form) = Ring::decode(&open, Some(&seal), Others::MayNotWrite).expect("a ring");
    assert!(read.is_same_as(&ring));
    assert_eq!(form, Form::Open, "so that it can be sealed");
    // An attacker who can write there could make us sign with a key of their own.
    let planted = Ring::decode(&open, Some(&seal), Others::MayWrite);
    assert_eq!(planted.err(), Some(UnreadableRing::Open));
}

#[test]
fn reasons_why_a_document_is_not_read_are_told_apart() {
    let (ring, _) = ring(&[(5, SignNow)]);
    let open = ring.encode(None).expect("a document");
    let sealed = ring.encode(Some(&seal(1))).expect("a document");
    let open = String::from_utf8(open.to_vec()).expect("text");
    let sealed = String::from_utf8(sealed.to_vec()).expect("text");
    let damaged = sealed.replace(r#""sealed":""#, r#""sealed":"AAAA"#);
    let later = open.replace(r#""version":1"#, r#""version":2"#);
    let other = open.replace("EdDSA", "ES256");
    let cut = open.replace(r#""pkcs8":""#, r#""pkcs8":"AAAA"#);
    let seal = seal(1);
    let both = format!("{},{}", &open[..open.len() - 1], &sealed[1..]);
    for (text, key, expected) in [
        (sealed.as_str(), None, UnreadableRing::NoKey),
        (&sealed, Some(&self::seal(2)), UnreadableRing::OtherKey),
        (&damaged, Some(&seal), UnreadableRing::OtherKey),
        (&later, None, UnreadableRing::Version(2)),
        (r#"{"version":7,"anything":[]}"#, Some(&seal), UnreadableRing::Version(7)),
        (&other, None, UnreadableRing::Key),
        (&cut, None, UnreadableRing::Key),
        (r#"{"version":1}"#, None, UnreadableRing::Damaged),
        (r#"{"version":1,"sealed":"?"}"#, Some(&seal), UnreadableRing::Damaged),
        (&both, Some(&seal), UnreadableRing::Damaged),
        (r#"{"keys":[]}"#, None, UnreadableRing::Damaged),
        ("", None, UnreadableRing::Damaged),
        ("null", None, UnreadableRing::Damaged),
        (&open[..open.len() - 1], None, UnreadableRing::Damaged),
    ] {
        assert_eq!(
            Ring::decode(text.as_bytes(), key, Others::MayNotWrite).err(),
            Some(expected),
            "{expected}"
        );
    }
}

#[test]
fn members_that_are_not_known_are_tolerated() {
    let (ring, _) = ring(&[(5, SignNow)]);
    let open = ring.encode(None).expect("a document");
    let text = String::from_utf8(open.to_vec()).expect("text");
    let text = text.replace(r#""created""#, r#""note":{"a":[1]},"created""#);
    let text = text.replace(r#""version":1"#, r#""version":1,"more":true"#);
    let (read, _) = Ring::decode(text.as_bytes(), None, Others::MayWrite).expect("a ring");
    assert!(read.is_same_as(&ring));
}

#[test]
fn private_keys_are_not_shown() {
    let (ring, ids) = ring(&[(5, SignNow)]);
    let private = &ring.keys[0].pkcs8;
    let fresh = fresh();
    let shown = format!("{ring:?} {:?}", ring.keys[0]);
    assert!(shown.contains(&*ids[0]), "{shown}");
    let numbers = format!("{:?}", &private[..8]);
    assert!(!shown.contains(numbers.trim_matches(['[', ']'])), "{shown}");
    assert!(!shown.contains("pkcs8") && !format!("{fresh:?}").contains("pkcs8"));
}
