use proptest::prelude::*;

use super::*;

fn span(dated: i64, expires: i64) -> Span {
    Span { dated, expires }
}

/// Few times and expiries, so that they coincide.
fn any_span() -> impl Strategy<Value = Span> {
    (0..12_i64, 90..110_i64).prop_map(|(dated, expires)| span(dated, expires))
}

fn sorted(mut entries: Vec<Span>) -> Vec<Span> {
    entries.sort_by_key(|entry| entry.dated);
    entries
}

/// How many records the subject has after a plan was carried out.
fn after(account: AccountEntries<'_>, kind: Cut, plan: Plan) -> usize {
    let AccountEntries { entries, grants, subject, .. } = account;
    let cuts = usize::from(grants.is_some()) + usize::from(subject.is_some());
    match plan {
        Plan::Covered | Plan::Full => entries.len() + cuts,
        Plan::Add => entries.len() + cuts + 1,
        Plan::Merge { folded, drops_grants, adds, cut: _ } => {
            let replaces = match kind {
                Cut::Grants => grants.is_some(),
                Cut::Subject => subject.is_some(),
            };
            entries.len() - folded + cuts + 1 + usize::from(adds)
                - usize::from(replaces)
                - usize::from(drops_grants)
        }
    }
}

proptest! {
    #[test]
    fn whatever_ends_goes_on_being_cut_off_and_no_account_has_more_than_it_may(
        entries in proptest::collection::vec(any_span(), 0..ENTRIES_PER_SUBJECT_MAX),
        grants in proptest::option::of(any_span()),
        subject in proptest::option::of(any_span()),
        others in 0..220_u64,
        entry in any_span(),
        until in 90..110_i64,
        entries_max in 1..240_u64,
    ) {
        let entries = sorted(entries);
        let account = AccountEntries { entries: &entries, grants, subject, others };
        let room = Room::of(entries_max);
        let plan = account.add(entry, until, room);
        let covers = |cut: Option<Span>| cut.is_some_and(|cut| cut.covers(entry));
        let before = after(account, Cut::Grants, Plan::Covered);
        let later = after(account, Cut::Grants, plan);
        match plan {
            Plan::Covered => prop_assert!(covers(grants) || covers(subject)),
            // The first entry of a subject, when only the operators' room is left.
            Plan::Full => {
                prop_assert!(entries.is_empty() && grants.is_none());
                prop_assert!(others + u64::from(subject.is_some()) >= room.first);
            }
            Plan::Add => {}
            Plan::Merge { cut, folded, drops_grants, adds } => {
                prop_assert!(!drops_grants);
                prop_assert!(cut.expires >= until);
                for gone in entries[..folded].iter().copied().chain(grants) {
                    prop_assert!(cut.covers(gone));
                }
                prop_assert!(adds != cut.covers(entry));
                prop_assert!(entries[folded..].iter().all(|held| held.dated > cut.dated));
                // It ends nothing that began later than what it replaces.
                let last = entries[..folded].iter().copied().chain(grants).map(|held| held.dated);
                let last = last.chain((!adds).then_some(entry.dated)).max();
                prop_assert_eq!(Some(cut.dated), last);
            }
        }
        let singles = later - usize::from(subject.is_some());
        prop_assert!(singles <= ENTRIES_PER_SUBJECT_MAX.max(before));
        if later > before {
            let all = others + later as u64;
            let is_first = entries.is_empty() && grants.is_none();
            prop_assert!(all <= room.more || (is_first && all <= room.first));
        }
    }

    #[test]
    fn cut_off_replaces_itself_and_what_it_does(
        entries in proptest::collection::vec(any_span(), 0..20),
        grants in proptest::option::of(any_span()),
        subject in proptest::option::of(any_span()),
        others in 0..220_u64,
        cut in any_span(),
        is_subject in any::<bool>(),
        entries_max in 1..240_u64,
    ) {
        let kind = if is_subject { Cut::Subject } else { Cut::Grants };
        let entries = sorted(entries);
        let account = AccountEntries { entries: &entries, grants, subject, others };
        let room = Room::of(entries_max);
        let own = if is_subject { subject } else { grants };
        let plan = account.cut(kind, cut, room);
        let before = after(account, kind, Plan::Covered);
        match plan {
            Plan::Covered => {
                let covers = |held: Option<Span>| held.is_some_and(|held| held.covers(cut));
                prop_assert!(covers(subject) || (!is_subject && covers(grants)));
            }
            Plan::Full => prop_assert!(own.is_none() && others + before as u64 >= room.first),
            Plan::Merge { cut: merged, folded, drops_grants, adds } => {
                prop_assert!(!adds && merged.covers(cut));
                for gone in entries[..folded].iter().copied().chain(own) {
                    prop_assert!(merged.covers(gone));
                }
                prop_assert!(entries[folded..].iter().all(|held| held.dated > merged.dated));
                prop_assert!(!drops_grants || (is_subject && merged.covers(grants.expect("one"))));
                let later = after(account, kind, plan);
                prop_assert!(later <= before || others + later as u64 <= room.first);
                prop_assert_eq!(merged.dated, cut.dated.max(own.map_or(0, |own| own.dated)));
            }
            Plan::Add => prop_assert!(false, "a cut-off is no single entry"),
        }
    }
}

#[test]
fn hundredth_entry_is_added_and_the_next_merges_the_two_earliest() {
    let room = Room::of(1000);
    let entries: Vec<_> = (0..100).map(|dated| span(dated, 500)).collect();
    let add = |held: usize, dated| {
        let entries = &entries[..held];
        AccountEntries { entries, grants: None, subject: None, others: 5 }.add(
            span(dated, 500),
            600,
            room,
        )
    };
    assert_eq!(add(99, 1000), Plan::Add);
    let cut = span(1, 600);
    let merge = Plan::Merge { cut, folded: 2, drops_grants: false, adds: true };
    assert_eq!(add(100, 1000), merge);
    // The entry itself is among the earliest.
    let merge = Plan::Merge { cut: span(0, 600), folded: 1, drops_grants: false, adds: false };
    assert_eq!(add(100, 0), merge);
}

#[test]
fn accounts_leave_a_tenth_and_their_first_entries_a_twentieth() {
    assert_eq!(Room::of(200), Room { more: 180, first: 190 });
    assert_eq!(Room::of(9), Room { more: 9, first: 9 });
    let entry = span(7, 500);
    let add = |entries: &[Span], others| {
        AccountEntries { entries, grants: None, subject: None, others }.add(
            entry,
            600,
            Room::of(200),
        )
    };
    assert_eq!(add(&[span(1, 500)], 178), Plan::Add);
    let merge = Plan::Merge { cut: span(7, 600), folded: 1, drops_grants: false, adds: false };
    assert_eq!(add(&[span(1, 500)], 179), merge);
    assert_eq!(add(&[], 189), Plan::Add);
    assert_eq!(add(&[], 190), Plan::Full);
    assert_eq!(add(&[span(1, 500)], 199), merge);
}
