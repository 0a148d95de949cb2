//! Lifts of revocations.

use super::*;

const OF_ALICE: Revocable<'_> = CREDENTIAL;

fn alice() -> Scope {
    Scope::Subject { issuer: None, subject: "alice".into() }
}

/// An entry with this cut-off, and its id.
fn made(cut_off: i64) -> (Entry, Lifted) {
    let entry = entry(alice(), cut_off);
    let id = RevocationId::of(&entry, cut_off.unsigned_abs(), MadeBy::Operator);
    let expires = entry.expires;
    (entry, Lifted { id, expires })
}

fn apply(writer: &ListWriter, (entry, lifted): &(Entry, Lifted)) {
    writer.apply_liftable(entry, lifted.id, NOW);
}

/// The last of a few seconds that is revoked.
fn cut_off(writer: &ListWriter) -> Option<i64> {
    let hit = |second: &i64| find(writer.list(), OF_ALICE, *second) == Revocation::Revoked;
    (0..20).rev().find(hit)
}

#[test]
fn what_else_cuts_a_scope_off_is_left_in_any_order() {
    let (one, two, three) = (made(5), made(9), made(7));
    let writer = fresh();
    for made in [&one, &two, &three] {
        apply(&writer, made);
    }
    writer.apply(&entry(alice(), 3), NOW);
    assert_eq!(cut_off(&writer), Some(9));
    let lift = |made: &(Entry, Lifted)| writer.lift(&alice(), &[made.1], NOW);
    lift(&two);
    assert_eq!(cut_off(&writer), Some(7));
    lift(&one);
    assert_eq!(cut_off(&writer), Some(7));
    lift(&three);
    assert_eq!(cut_off(&writer), Some(3), "what cannot be lifted");
    let other = Scope::Subject { issuer: None, subject: "bob".into() };
    writer.apply(&entry(other, 3), NOW);
    assert_eq!(writer.prune(NOW), 2);
}

#[test]
fn lifted_entry_does_not_come_back_and_another_one_counts() {
    let (one, two) = (made(5), made(9));
    let writer = fresh();
    writer.lift(&alice(), &[one.1], NOW);
    apply(&writer, &one);
    assert_eq!(cut_off(&writer), None, "it came after its lift");
    apply(&writer, &two);
    writer.lift(&alice(), &[one.1, two.1], NOW);
    apply(&writer, &two);
    assert_eq!((cut_off(&writer), writer.prune(NOW)), (None, 0));
    let later = made(11);
    apply(&writer, &later);
    assert_eq!(cut_off(&writer), Some(11));
    assert_eq!(writer.liftable(&alice()), [later.1]);
    assert_eq!(writer.find_liftable(two.1.id), Some(two.1));
    assert!(writer.is_lifted(one.1.id) && !writer.is_lifted(later.1.id));
}

#[test]
fn lift_of_another_scope_lifts_nothing() {
    let one = made(5);
    let writer = fresh();
    apply(&writer, &one);
    let other = Scope::Subject { issuer: None, subject: "bob".into() };
    assert!(writer.has_any(&alice(), &[one.1]) && !writer.has_any(&other, &[one.1]));
    writer.lift(&other, &[one.1], NOW);
    assert_eq!(cut_off(&writer), Some(5));
}

#[test]
fn clear_answer_stays_right_and_the_next_one_after_a_lift_is_clear() {
    let writer = fresh();
    let (one, scope_ids) = (made(5), CredentialScopes::of(OF_ALICE));
    let clear_at = AtomicU64::new(NO_GENERATION);
    let ask = || {
        let issued = UnixTime::from_seconds(5);
        writer.list().find(&scope_ids, issued, &clear_at, 0, moment(0))
    };
    assert_eq!(ask(), Revocation::Clear);
    apply(&writer, &one);
    assert_eq!(ask(), Revocation::Revoked);
    writer.lift(&alice(), &[one.1], NOW);
    assert_eq!(ask(), Revocation::Clear);
    apply(&writer, &made(6));
    assert_eq!(ask(), Revocation::Revoked);
}

#[test]
fn what_is_remembered_of_lifts_ends_with_what_they_lifted() {
    let writer = fresh();
    let (one, two) = (made(5), made(9));
    apply(&writer, &two);
    writer.lift(&alice(), &[one.1], NOW);
    let spent = one.1.expires.plus(300);
    writer.prune(spent.plus(-1));
    assert!(writer.is_lifted(one.1.id) && writer.find_liftable(two.1.id).is_some());
    writer.prune(spent);
    assert!(!writer.is_lifted(one.1.id) && writer.find_liftable(two.1.id).is_none());
}

#[test]
fn id_says_what_it_is_about_and_is_read_as_it_was_written() {
    for kind in scopes().into_iter().map(|(scope, _)| scope) {
        for made_by in [MadeBy::Operator, MadeBy::Account] {
            let id = RevocationId::of(&entry(kind.clone(), 5), 7, made_by);
            assert_eq!((id.kind(), id.made_by()), (kind.kind(), made_by));
            assert_eq!(RevocationId::parse(&id.to_string()), Some(id));
            let can = matches!(kind, Scope::Subject { .. } | Scope::Client(_) | Scope::Issuer(_));
            assert_eq!(id.is_liftable(), can && made_by == MadeBy::Operator, "{kind}");
        }
    }
    let id = |cut_off, written_us| {
        RevocationId::of(&entry(alice(), cut_off), written_us, MadeBy::Operator)
    };
    assert!(id(5, 7) == id(5, 7) && id(5, 7) != id(6, 7) && id(5, 7) != id(5, 8));
    for text in ["", "0", "+123456789abcdef", "0123456789abcdeg", "0123456789abcdef0"] {
        assert_eq!(RevocationId::parse(text), None, "{text}");
    }
}
