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

/// What the list says, at once and asked again, about a credential issued at `issued_at`.
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

mod lifting {
    use super::*;

    const OF_ALICE: Revocable<'_> = CREDENTIAL;

    fn alice() -> Scope {
        Scope::Subject { issuer: None, subject: "alice".into() }
    }

    /// An entry that cuts off up to then, and its name.
    fn made(cut_off: i64) -> (Entry, Lifted) {
        let entry = entry(alice(), cut_off);
        let id = RevocationId::of(&entry, cut_off.unsigned_abs(), MadeBy::Operator);
        let expires = entry.expires;
        (entry, Lifted { id, expires })
    }

    fn apply(writer: &ListWriter, (entry, lifted): &(Entry, Lifted)) {
        writer.apply_liftable(entry, lifted.id, NOW);
    }

    /// The last second that is cut off, of a few.
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
                let can =
                    matches!(kind, Scope::Subject { .. } | Scope::Client(_) | Scope::Issuer(_));
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
}

mod compiling {
    use super::*;
    use crate::gate::forward::{IdentityTemplate, OwnedName};
    use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};

    fn identity() -> IdentityTemplate {
        let name = || OwnedName::new("x-name").expect("a name");
        IdentityTemplate {
            subject: name(),
            issuer: name(),
            scopes: name(),
            roles: name(),
            session: name(),
            claims: Vec::new(),
        }
    }

    fn rules(lifetime_max_s: i64, clock_skew_s: i64) -> IssuerRules {
        IssuerRules {
            clock_ahead_s: clock_skew_s,
            dated_by: DatedBy::Issue,
            identity_bytes_max: 8192,
            name: "test".into(),
            issuer: ISSUER.into(),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            clock_skew_s,
            lifetime_max_s,
            token_types: Vec::new(),
            untyped: Untyped::Refused,
            required_claims: Vec::new(),
            roles_pointer: "/roles".into(),
            client_claims: Vec::new(),
            asked_claims: Vec::new(),
            identity: std::sync::Arc::new(identity()),
        }
    }

    fn compile(scope: Scope, before: Option<i64>) -> (UnixTime, UnixTime) {
        let all = [rules(3600, 30).reach_s(), rules(60, 500).reach_s()];
        let before = before.map(UnixTime::from_seconds);
        let Entry { cut_off, expires, .. } = Entry::compile(scope, before, None, all, NOW);
        (cut_off, expires)
    }

    #[test]
    fn entry_lives_as_long_as_the_longest_token_that_it_can_hit() {
        let subject = || Scope::Subject { issuer: None, subject: "a".into() };
        assert_eq!(compile(subject(), None), (NOW, NOW.plus(3660)));
        let earlier = NOW.plus(-600);
        let expected = (earlier, earlier.plus(3660));
        assert_eq!(compile(subject(), Some(earlier.as_seconds())), expected);
        assert_eq!(compile(Scope::Everything, None), (NOW, NOW.plus(3660)));
    }

    #[test]
    fn tokens_and_sessions_are_cut_off_whenever_they_were_issued() {
        let token = Scope::Token { issuer: ISSUER.into(), id: "1".into() };
        assert_eq!(compile(token.clone(), Some(5)), (UnixTime::NEVER, NOW.plus(3660)));
        let ends = NOW.plus(SESSION_S + 3660);
        assert_eq!(compile(Scope::Session("s".into()), None), (UnixTime::NEVER, ends));
        let dies = NOW.plus(77);
        let entry = Entry::compile(token, None, Some(dies), [rules(3600, 30).reach_s()], NOW);
        assert_eq!((entry.cut_off, entry.expires), (UnixTime::NEVER, dies));
    }

    /// Whoever stole it can go on signing, with any `iat`.
    #[test]
    fn key_is_cut_off_for_good_unless_a_time_is_given() {
        let key = || Scope::Key { issuer: None, id: "k".into() };
        assert_eq!(compile(key(), None), (UnixTime::NEVER, UnixTime::NEVER));
        assert_eq!(compile(key(), Some(5)).0, UnixTime::from_seconds(5));
    }
}
