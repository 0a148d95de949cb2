//! What comes late, or again: a family is ended by a token that was presented after its grace, and by nothing else.

use std::time::{Duration, Instant};

use portcullis::store::family::EXCHANGE_WITHIN_MS;

use super::*;

/// An exchange that a gateway asks for which has just read the family, without a grace.
async fn asked(store: &dyn FamilyAndSessionStore, number: u64, from: u64, to: u64) -> Exchange {
    Exchange {
        family: id(number),
        presented: token(from),
        successor: successor(to),
        grace_ms: 0,
        now: clock::now(),
        premise: premise(store, number).await,
        end: None,
    }
}

async fn is_dead(store: &dyn FamilyAndSessionStore, number: u64) -> bool {
    kept(store, number).await.expect("it is there").is_dead
}

/// What leads from a token to the last one.
fn way(from: u64, last: u64) -> Rotation {
    Rotation::Replayed((from + 1..=last).map(sealed).collect())
}

async fn wait(time: Duration) {
    // What is tested is that time passes.
    tokio::time::sleep(time).await;
}

pub(super) async fn exchange_that_is_asked_again_after_the_next_ends_nothing_within_the_grace(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    let now = clock::now();
    for number in [1, 2] {
        begin(&*store, &family(number, now)).await;
        assert_eq!(rotate(&*store, number, 0, 1, now).await, Rotation::Rotated);
        assert_eq!(rotate(&*store, number, 1, 2, now).await, Rotation::Rotated);
    }
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, way(0, 2));
    assert_eq!(rotate(&*store, 1, 2, 3, now).await, Rotation::Rotated);
    assert_eq!(rotate_within(&*store, 2, 0, 1, 0, now).await, Rotation::Reused);
    assert_eq!(rotate(&*store, 2, 2, 3, now).await, Rotation::Reused);
}

pub(super) async fn token_within_its_grace_leads_on_however_far_the_family_has_gone(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    for number in 0..8 {
        assert_eq!(rotate(&*store, 1, number, number + 1, now).await, Rotation::Rotated);
    }
    for number in 0..8 {
        assert_eq!(rotate(&*store, 1, number, 77, now).await, way(number, 8));
    }
    assert_eq!(kept(&*store, 1).await, Some(used(&family(1, now), 8, now)));
    assert_eq!(rotate(&*store, 1, 8, 11, now).await, Rotation::Rotated);
    assert_eq!(rotate(&*store, 1, 99, 12, now).await, Rotation::Reused, "it was never given");
}

/// Exchanges token after token, each at its place.
async fn go_on(
    store: &dyn FamilyAndSessionStore,
    number: u64,
    places: std::ops::Range<u64>,
    grace_ms: u64,
) {
    for place in places {
        let next = Successor { digest: at(place + 1, place + 1), sealed: sealed(place + 1) };
        let now = clock::now();
        let gone = exchange(store, number, at(place, place), &next, grace_ms, now).await;
        assert_eq!(gone, Ok(Rotation::Rotated), "{place}");
    }
}

pub(super) async fn family_that_is_exchanged_all_the_time_forgets_no_grace(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    go_on(&*store, 1, 0..100, GRACE_MS).await;
    let other = Successor { digest: at(777, 777), sealed: sealed(777) };
    for place in 0..100 {
        let token = at(place, place);
        match exchange(&*store, 1, token, &other, GRACE_MS, now).await.expect("it answers") {
            // The way is not known any more.
            Rotation::Changed if place < 99 => {}
            Rotation::Replayed(way) => {
                assert_eq!(way, (place + 1..=100).map(sealed).collect::<Vec<_>>());
            }
            other @ (Rotation::Rotated
            | Rotation::Changed
            | Rotation::TooLate
            | Rotation::Reused
            | Rotation::Ended(_)
            | Rotation::Expired
            | Rotation::Absent) => panic!("{place}: {other:?}"),
        }
    }
    go_on(&*store, 1, 100..101, GRACE_MS).await;
    // Another one of a place that is known.
    let forged = exchange(&*store, 1, at(100, 555), &other, GRACE_MS, now).await;
    assert_eq!(forged, Ok(Rotation::Reused));
}

/// Who exchanges all the time does not hide the token of another holder.
pub(super) async fn token_after_its_grace_kills_however_often_the_family_is_exchanged(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    const SHORT_MS: u64 = 100;
    let stolen = [0, 20, 39];
    for number in stolen {
        begin(&*store, &family(number, clock::now())).await;
        go_on(&*store, number, 0..40, SHORT_MS).await;
    }
    let begun = Instant::now();
    let mut place = 40;
    while begun.elapsed() < Duration::from_millis(1500) {
        for number in stolen {
            go_on(&*store, number, place..place + 1, SHORT_MS).await;
        }
        place += 1;
    }
    let other = Successor { digest: at(7777, 7777), sealed: sealed(7777) };
    for number in stolen {
        let token = at(number, number);
        let reused = exchange(&*store, number, token, &other, SHORT_MS, clock::now()).await;
        assert_eq!(reused, Ok(Rotation::Reused), "{number}");
    }
}

pub(super) async fn token_that_was_exchanged_since_it_was_presented_ends_nothing(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    let held = asked(&*store, 1, 0, 9).await;
    assert_eq!(rotate_within(&*store, 1, 0, 1, 0, now).await, Rotation::Rotated);
    assert_eq!(rotate_within(&*store, 1, 1, 2, 0, now).await, Rotation::Rotated);
    assert_eq!(store.rotate(&held).await, Ok(Rotation::Changed));
    let patient = Exchange { grace_ms: 1, ..held };
    assert_eq!(store.rotate(&patient).await, Ok(way(0, 2)), "it was presented before its grace");
    assert_eq!(kept(&*store, 1).await, Some(used(&family(1, now), 2, now)));
    // It is presented once more.
    let again = asked(&*store, 1, 0, 9).await;
    assert_eq!(store.rotate(&again).await, Ok(Rotation::Reused));
}

/// It led to its successor for longer than its grace, and was on its way when that was used.
pub(super) async fn token_whose_successor_was_used_since_it_was_presented_ends_nothing(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    const SHORT_MS: u64 = 1_000;
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    assert_eq!(rotate_within(&*store, 1, 0, 1, SHORT_MS, now).await, Rotation::Rotated);
    wait(Duration::from_millis(SHORT_MS + 50)).await;
    let held = Exchange { grace_ms: SHORT_MS, ..asked(&*store, 1, 0, 9).await };
    assert_eq!(rotate_within(&*store, 1, 1, 2, SHORT_MS, now).await, Rotation::Rotated);
    assert_eq!(store.rotate(&held).await, Ok(Rotation::Changed));
    assert_eq!(kept(&*store, 1).await, Some(used(&family(1, now), 2, now)));
    // It is presented once more.
    let again = Exchange { grace_ms: SHORT_MS, ..asked(&*store, 1, 0, 9).await };
    assert_eq!(store.rotate(&again).await, Ok(Rotation::Reused));
}

pub(super) async fn token_that_waited_is_judged_by_when_it_was_presented(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    const SHORT_MS: u64 = 100;
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    for number in [0, 1] {
        let rotated = rotate_within(&*store, 1, number, number + 1, SHORT_MS, now).await;
        assert_eq!(rotated, Rotation::Rotated);
    }
    wait(Duration::from_millis(SHORT_MS + 50)).await;
    let mut late = Exchange { grace_ms: SHORT_MS, ..asked(&*store, 1, 0, 9).await };
    late.premise.waited_ms = 60_000;
    assert_eq!(store.rotate(&late).await, Ok(way(0, 2)));
    late.premise.waited_ms = 0;
    assert_eq!(store.rotate(&late).await, Ok(Rotation::Reused));
}

pub(super) async fn exchange_that_arrives_too_late_is_not_made(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    assert_eq!(rotate_within(&*store, 1, 0, 1, 0, now).await, Rotation::Rotated);
    for from in [0, 1, 99] {
        let asked = asked(&*store, 1, from, 2).await;
        let read_ms = asked.premise.read_ms;
        // A clock that is behind is another one.
        for read_ms in [read_ms - EXCHANGE_WITHIN_MS, read_ms + EXCHANGE_WITHIN_MS + 5_000, 0] {
            let premise = Premise { read_ms, ..asked.premise };
            let late = store.rotate(&Exchange { premise, ..asked.clone() }).await;
            assert_eq!(late, Ok(Rotation::TooLate), "{from}");
        }
        assert_eq!(kept(&*store, 1).await, Some(used(&family(1, now), 1, now)));
    }
    let mut asked = asked(&*store, 1, 1, 2).await;
    asked.premise.read_ms -= EXCHANGE_WITHIN_MS / 2;
    assert_eq!(store.rotate(&asked).await, Ok(Rotation::Rotated));
}

/// A gateway whose link was reset repeats what it said, word by word.
pub(super) async fn repeated_exchange_is_no_second_use(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    let first = Exchange { now, ..asked(&*store, 1, 0, 1).await };
    for _ in 0..3 {
        assert_eq!(store.rotate(&first).await, Ok(Rotation::Rotated));
        assert_eq!(kept(&*store, 1).await, Some(used(&family(1, now), 1, now)));
    }
    assert_eq!(rotate_within(&*store, 1, 1, 2, 0, now).await, Rotation::Rotated);
    assert_eq!(store.rotate(&first).await, Ok(Rotation::Changed));
    assert!(!is_dead(&*store, 1).await);
    assert_eq!(rotate_within(&*store, 1, 2, 3, 0, now).await, Rotation::Rotated);
}
