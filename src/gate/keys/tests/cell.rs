//! The cell that holds an issuer's keys.

use super::*;

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

/// By how much the generation grows when `new` follows `old`.
fn moves(old: &[Value], new: &[Value]) -> u64 {
    let cell = KeyCell::empty();
    cell.publish(read(old).expect("a set").0, at(1), at(2));
    let before = cell.generation();
    cell.publish(read(new).expect("a set").0, at(1), at(2));
    cell.generation() - before
}

#[test]
fn generation_stands_still_while_the_keys_are_the_same() {
    let (a, b) = (p256(json!({"kid": "a"})), rsa(json!({"kid": "b"})));
    assert_eq!(moves(&[a.clone(), b.clone()], &[a.clone(), b.clone()]), 0);
    assert_eq!(moves(&[a.clone(), b.clone()], &[b, a.clone()]), 0, "in another order");
    assert_eq!(moves(std::slice::from_ref(&a), &[changed(a.clone(), json!({"x5t": "n"}))]), 0);
}

#[test]
fn generation_moves_on_with_every_real_change() {
    let (a, b) = (p256(json!({"kid": "a"})), rsa(json!({"kid": "b"})));
    let moved = |old: &[Value], new: &[Value], what: &str| assert_eq!(moves(old, new), 1, "{what}");
    let one = std::slice::from_ref(&a);
    moved(one, &[a.clone(), b.clone()], "a key came");
    moved(&[a.clone(), b.clone()], one, "a key went");
    moved(one, &[fresh(json!({"kid": "a"}))], "a key was replaced under its id");
    moved(one, &[p256(json!({"kid": "c"}))], "a key has another id");
    moved(one, &[p256(json!({}))], "a key lost its id");
    let swapped = [p256(json!({"kid": "b"})), rsa(json!({"kid": "a"}))];
    moved(&[a, b], &swapped, "two keys swapped their ids");
}

/// If an issuer restricts a key to one algorithm, tokens of the other are refused from then on,
/// cached or not.
#[test]
fn generation_moves_on_when_a_key_is_given_another_algorithm() {
    let serving = |alg: Value| [rsa(json!({"kid": "a", "alg": alg}))];
    assert_eq!(moves(&serving(json!("RS256")), &serving(json!("PS256"))), 1, "changed");
    assert_eq!(moves(&serving(json!(null)), &serving(json!("PS256"))), 1, "narrowed");
}

/// Ids that collide in a short polynomial hash.
#[test]
fn generation_moves_on_when_an_id_is_replaced_by_one_that_looks_alike() {
    assert_eq!(moves(&[p256(json!({"kid": "Aa"}))], &[p256(json!({"kid": "BB"}))]), 1);
}

#[test]
fn empty_cell_has_nothing_to_offer() {
    let cell = KeyCell::empty();
    assert!(cell.current().is_none() && cell.published_at().is_none());
    assert!(!cell.is_usable(at(0)) && !cell.is_fixed() && !cell.knows(None));
}

#[test]
fn keys_are_believed_up_to_the_last_second_and_no_longer() {
    let cell = KeyCell::empty();
    cell.publish(read(&[usable()]).expect("a set").0, at(100), at(200));
    assert!(cell.is_usable(at(199)));
    assert!(!cell.is_usable(at(200)));
    // The same keys, fetched again, are trusted for longer.
    cell.publish(read(&[usable()]).expect("a set").0, at(150), at(250));
    assert!(cell.is_usable(at(249)));
    assert_eq!(cell.published_at(), Some(at(150)));
}

#[test]
fn keys_from_the_configuration_do_not_grow_old() {
    let cell = KeyCell::fixed(read(&[usable()]).expect("a set").0.into());
    assert!(cell.is_fixed() && cell.is_usable(at(253_402_300_799)));
}
