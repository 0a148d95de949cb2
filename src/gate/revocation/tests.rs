mod compiling;
mod lifting;

use std::sync::atomic::AtomicU64;

use super::credential_scopes::Revocable;
use super::list::NO_GENERATION;
use super::*;
use crate::gate::time::UnixTime;
use crate::gate::time::{Moment, SteadyTime};

const ISSUER: &str = "https://issuer.test";
const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

fn moment(steady_ms: u64) -> Moment {
    Moment { wall: NOW, steady: SteadyTime::from_millis(steady_ms), ..Moment::default() }
}

/// A credential with everything that can be revoked.
const CREDENTIAL: Revocable<'_> = Revocable {
    issuer: ISSUER,
    subject: "alice",
    token_id: Some("t1"),
    session_id: Some("s1"),
    client_id: Some("c1"),
    key_id: Some("k1"),
    granted_by: GrantedBy::Gateway,
};

fn entry(scope: Scope, cut_off: i64) -> Entry {
    Entry { scope, cut_off: UnixTime::from_seconds(cut_off), expires: NOW.plus(600) }
}

/// The list's answer, at first and repeated, for a credential issued at `issued_at`.
fn find(list: &RevocationList, revocable: Revocable<'_>, issued_at: i64) -> Revocation {
    let scope_ids = CredentialScopes::of(revocable);
    let clear_at = AtomicU64::new(NO_GENERATION);
    let ask = || list.find(&scope_ids, UnixTime::from_seconds(issued_at), &clear_at, 0, moment(0));
    let first = ask();
    assert_eq!(ask(), first, "asking changes nothing");
    first
}

fn fresh() -> ListWriter {
    let writer = RevocationList::new().writer().expect("the first to ask");
    writer.contact(SteadyTime::default());
    writer
}

fn scopes() -> Vec<(Scope, Scope)> {
    let text = |text: &str| -> Box<str> { text.into() };
    let issuer = || text(ISSUER);
    vec![
        (
            Scope::Token { issuer: issuer(), id: text("t1") },
            Scope::Token { issuer: text("https://other.test"), id: text("t1") },
        ),
        (Scope::Session(text("s1")), Scope::Session(text("c1"))),
        (
            Scope::Subject { issuer: Some(issuer()), subject: text("alice") },
            Scope::Subject { issuer: Some(text("https://other.test")), subject: text("alice") },
        ),
        (
            Scope::Grants { issuer: issuer(), subject: text("alice") },
            Scope::Grants { issuer: text("https://other.test"), subject: text("alice") },
        ),
        (
            Scope::Subject { issuer: None, subject: text("alice") },
            Scope::Subject { issuer: None, subject: text("alic") },
        ),
        (Scope::Client(text("c1")), Scope::Client(text("s1"))),
        (
            Scope::Key { issuer: Some(issuer()), id: text("k1") },
            Scope::Key { issuer: Some(issuer()), id: text("k2") },
        ),
        (Scope::Key { issuer: None, id: text("k1") }, Scope::Key { issuer: None, id: text("K1") }),
        (Scope::Issuer(issuer()), Scope::Issuer(text("https://issuer.test/"))),
    ]
}

#[test]
fn each_scope_cuts_off_what_it_names_and_nothing_else() {
    for (matching, other) in scopes() {
        let writer = fresh();
        writer.apply(&entry(other.clone(), NOW.as_seconds()), NOW);
        assert_eq!(find(writer.list(), CREDENTIAL, 0), Revocation::Clear, "{other}");
        writer.apply(&entry(matching.clone(), NOW.as_seconds()), NOW);
        assert_eq!(find(writer.list(), CREDENTIAL, 0), Revocation::Revoked, "{matching}");
    }
    let writer = fresh();
    writer.apply(&entry(Scope::Everything, NOW.as_seconds()), NOW);
    assert_eq!(find(writer.list(), CREDENTIAL, 0), Revocation::Revoked);
}

#[test]
fn cause_is_the_kind_and_the_cut_off_of_what_hits() {
    let everything = (Scope::Everything, Scope::Client("c2".into()));
    let mut kinds = Vec::new();
    for (matching, other) in scopes().into_iter().chain([everything]) {
        let writer = fresh();
        let cause =
            || writer.list().cause(&CredentialScopes::of(CREDENTIAL), UnixTime::from_seconds(9));
        writer.apply(&entry(other, 9), NOW);
        writer.apply(&entry(matching.clone(), 8), NOW);
        assert_eq!(cause(), None, "{matching}");
        writer.apply(&entry(matching.clone(), 9), NOW);
        assert_eq!(cause(), Some((matching.kind(), UnixTime::from_seconds(9))));
        kinds.push(matching.kind());
    }
    assert!(ScopeKind::ALL.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}

#[test]
fn parts_of_a_scope_do_not_run_into_each_other() {
    let writer = fresh();
    let token = |issuer: &str, id: &str| Scope::Token { issuer: issuer.into(), id: id.into() };
    writer.apply(&entry(token("https://issuer.testt", "1"), NOW.as_seconds()), NOW);
    writer.apply(&entry(token("", "https://issuer.testt1"), NOW.as_seconds()), NOW);
    assert_eq!(find(writer.list(), CREDENTIAL, 0), Revocation::Clear);
}

#[test]
fn credential_issued_in_the_second_of_the_cut_off_is_cut_off_and_the_next_is_not() {
    let writer = fresh();
    writer.apply(&entry(Scope::Everything, 1000), NOW);
    assert_eq!(find(writer.list(), CREDENTIAL, 999), Revocation::Revoked);
    assert_eq!(find(writer.list(), CREDENTIAL, 1000), Revocation::Revoked);
    assert_eq!(find(writer.list(), CREDENTIAL, 1001), Revocation::Clear);
}

#[test]
fn later_entry_of_a_scope_never_takes_back_what_an_earlier_one_cut_off() {
    let writer = fresh();
    writer.apply(&entry(Scope::Everything, 1000), NOW);
    writer.apply(&entry(Scope::Everything, 500), NOW);
    assert_eq!(find(writer.list(), CREDENTIAL, 1000), Revocation::Revoked);
    writer.apply(&entry(Scope::Everything, 2000), NOW);
    assert_eq!(find(writer.list(), CREDENTIAL, 2000), Revocation::Revoked);
}

#[test]
fn credential_that_was_found_clear_is_looked_up_again_after_a_revocation() {
    let writer = fresh();
    let scope_ids = CredentialScopes::of(CREDENTIAL);
    let clear_at = AtomicU64::new(NO_GENERATION);
    let ask = || writer.list().find(&scope_ids, NOW, &clear_at, 0, moment(0));
    assert_eq!(ask(), Revocation::Clear);
    writer.apply(&entry(Scope::Session("other".into()), i64::MAX), NOW);
    assert_eq!(ask(), Revocation::Clear);
    writer.apply(&entry(Scope::Session("s1".into()), i64::MAX), NOW);
    assert_eq!(ask(), Revocation::Revoked);
}

#[test]
fn list_that_is_too_old_says_so_and_still_knows_whom_it_knew() {
    let writer = fresh();
    let scope_ids = CredentialScopes::of(CREDENTIAL);
    let ask = |age_max_ms, at_ms| {
        let clear_at = AtomicU64::new(NO_GENERATION);
        writer.list().find(&scope_ids, NOW, &clear_at, age_max_ms, moment(at_ms))
    };
    assert_eq!(ask(5000, 5000), Revocation::Clear);
    assert_eq!(ask(5000, 5001), Revocation::Unknown);
    assert_eq!(ask(u64::MAX, u64::MAX), Revocation::Clear);
    writer.apply(&entry(Scope::Everything, i64::MAX), NOW);
    assert_eq!(ask(5000, 5001), Revocation::Revoked);
}

#[test]
fn list_that_cannot_lack_anything_does_not_grow_old() {
    let writer = fresh();
    writer.complete();
    assert_eq!(writer.list().age_ms(SteadyTime::from_millis(u64::MAX - 2)), Some(0));
    let scope_ids = CredentialScopes::of(CREDENTIAL);
    let ask = || {
        let clear_at = AtomicU64::new(NO_GENERATION);
        writer.list().find(&scope_ids, NOW, &clear_at, 0, moment(1 << 40))
    };
    assert_eq!(ask(), Revocation::Clear);
    writer.apply(&entry(Scope::Everything, i64::MAX), NOW);
    assert_eq!(ask(), Revocation::Revoked);
}

#[test]
fn list_that_was_never_loaded_says_nothing_to_anybody() {
    let list = RevocationList::new();
    assert_eq!(list.age_ms(SteadyTime::default()), None);
    let scope_ids = CredentialScopes::of(CREDENTIAL);
    let clear_at = AtomicU64::new(NO_GENERATION);
    assert_eq!(list.find(&scope_ids, NOW, &clear_at, u64::MAX, moment(0)), Revocation::Unknown);
}

#[test]
fn there_is_one_writer() {
    let list = RevocationList::new();
    let writer = list.writer();
    assert!(writer.is_some());
    assert!(list.writer().is_none());
}

#[test]
fn nothing_is_evicted_and_nothing_else_is_cut_off() {
    const ENTRIES: u64 = 20_000;
    let writer = fresh();
    let token = |n: u64| Scope::Token { issuer: ISSUER.into(), id: n.to_string().into() };
    for n in 0..ENTRIES {
        writer.apply(&entry(token(n), i64::MAX), NOW);
    }
    assert_eq!(writer.prune(NOW), ENTRIES);
    let standing = |n: u64| {
        let id = n.to_string();
        find(writer.list(), Revocable { token_id: Some(&id), ..CREDENTIAL }, 0)
    };
    assert!((0..ENTRIES).all(|n| standing(n) == Revocation::Revoked));
    assert!((ENTRIES..2 * ENTRIES).all(|n| standing(n) == Revocation::Clear));
}

#[test]
fn entry_that_is_long_spent_takes_no_room() {
    let writer = fresh();
    let spent = Entry { expires: NOW.plus(-100_000), ..entry(Scope::Everything, i64::MAX) };
    writer.apply(&spent, NOW);
    assert_eq!(writer.prune(NOW), 0);
    let never = Entry { expires: UnixTime::NEVER, ..entry(Scope::Everything, i64::MAX) };
    let far = Entry {
        expires: UnixTime::from_seconds(i64::MAX - 1),
        ..entry(Scope::Session("s1".into()), i64::MAX)
    };
    writer.apply(&never, NOW);
    writer.apply(&far, NOW);
    assert_eq!(writer.prune(NOW), 2);
}
