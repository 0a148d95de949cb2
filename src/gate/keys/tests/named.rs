//! The key that a token names.

use super::*;

#[test]
fn key_with_an_id_answers_to_it_and_to_no_other() {
    let (set, _) = read(&[p256(json!({"kid": "a"})), fresh(json!({"kid": "b"}))]).expect("a set");
    assert_eq!(named(&set, Some("a")), KeyMatch::Verified(Some("a")));
    assert_eq!(
        named(&set, None),
        KeyMatch::Verified(Some("a")),
        "a token may leave the choice to us"
    );
    assert_eq!(named(&set, Some("b")), KeyMatch::Signature);
    for id in ["A", "", "a ", "ab"] {
        assert_eq!(named(&set, Some(id)), KeyMatch::Unknown, "{id:?}");
    }
}

#[test]
fn key_without_an_id_answers_to_all() {
    let (set, _) = read(&[p256(json!({}))]).expect("a set");
    assert_eq!(named(&set, Some("any")), KeyMatch::Verified(None));
    assert_eq!(named(&set, None), KeyMatch::Verified(None));
}

#[test]
fn keys_that_share_an_id_are_told_apart_by_algorithm() {
    let keys = [rsa(json!({"kid": "a"})), ed25519(json!({"kid": "a"})), p256(json!({"kid": "a"}))];
    let (set, _) = read(&keys).expect("a set");
    assert_eq!(named(&set, Some("a")), KeyMatch::Verified(Some("a")));
}

#[test]
fn key_of_another_kind_is_known_but_of_no_use() {
    let (set, _) = read(&[rsa(json!({"kid": "a"}))]).expect("a set");
    assert_eq!(named(&set, Some("a")), KeyMatch::Algorithm);
    assert_eq!(named(&set, Some("b")), KeyMatch::Unknown);
}

#[test]
fn token_that_names_no_key_has_so_many_tried_and_no_more() {
    let set = |others: usize| {
        let mut keys = vec![fresh(json!({})); others];
        keys.push(p256(json!({})));
        read(&keys).expect("a set").0
    };
    assert_eq!(named(&set(CANDIDATES_MAX - 1), None), KeyMatch::Verified(None));
    assert_eq!(named(&set(CANDIDATES_MAX), None), KeyMatch::Untried);
    let others = read(&vec![fresh(json!({})); CANDIDATES_MAX]).expect("a set").0;
    assert_eq!(named(&others, None), KeyMatch::Signature, "all were tried");
}

#[test]
fn keys_of_another_kind_do_not_count_as_tried() {
    let mut keys = vec![rsa(json!({})); CANDIDATES_MAX];
    keys.push(p256(json!({})));
    assert_eq!(named(&read(&keys).expect("a set").0, None), KeyMatch::Verified(None));
}
