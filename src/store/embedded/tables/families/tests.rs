//! How long an exchange can be asked for again, to the millisecond, and by which clock.

use super::*;
use crate::gate::session::{LoginDetails, SessionKind, SessionRecord, StoredSession};
use crate::gate::time::SteadyTime;
use crate::store::embedded::Embedded;
use crate::store::family::{Premise, Successor, UNUSED_GRACES};
use crate::store::session::SessionStore;

fn id() -> SessionId {
    SessionId::from_bytes([7; 32])
}
const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
const WALL_MS: u64 = 1_700_000_000_000;
const GRACE_MS: u64 = 10_000;
const UNUSED_MS: u64 = GRACE_MS * UNUSED_GRACES;
/// The process that made the first exchange.
const PROCESS: u64 = 7;

fn token(number: u8) -> TokenDigest {
    TokenDigest { place: 0, digest: [number; 32] }
}

/// The clocks, so many milliseconds after the exchange.
fn after(wall_ms: i64, steady_ms: u64) -> Instant {
    let wall_ms = WALL_MS.saturating_add_signed(wall_ms);
    Instant { wall_ms, steady: SteadyTime::from_millis(5_000 + steady_ms), process: PROCESS }
}

/// Exchanges one token for the next or another; the family was read just then.
async fn rotate(store: &Embedded, presented: u8, successor: u8, at: Instant) -> Rotation {
    // Current was a token that is not presented: the caller saw none of the others as good.
    rotate_knowing(store, 200, (presented, successor), at).await
}

/// The same, with the token that was current when the family was read.
async fn rotate_knowing(
    store: &Embedded,
    current: u8,
    (presented, successor): (u8, u8),
    at: Instant,
) -> Rotation {
    let successor = Successor { digest: token(successor), sealed: vec![successor] };
    let read_ms = at.steady.as_millis();
    let premise = Premise { current: token(current), read_ms, waited_ms: 0 };
    let presented = token(presented);
    let (family, grace_ms, now) = (id(), GRACE_MS, NOW);
    let exchange = Exchange { family, presented, successor, grace_ms, now, premise, end: None };
    let rotating = store.write(move |tables| tables.rotate(&exchange, at));
    rotating.await.expect("it is written").expect("it can be read")
}

/// A store in which token 1 was exchanged for 2.
async fn exchanged() -> (tempfile::TempDir, Embedded) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(&directory.path().join("portcullis.redb")).expect("a file");
    let record = SessionRecord {
        kind: SessionKind::Login(LoginDetails {
            family: "".into(),
            user_agent: "".into(),
            address: "".into(),
        }),
        subject: "ada".into(),
        issuer: "i".into(),
        method: "password".into(),
        roles: Vec::new(),
        scopes: Vec::new(),
        claims: serde_json::Map::new(),
        created: NOW,
        ends: NOW.plus(9000),
        idle_s: 9000,
    };
    let session = StoredSession { record, last_seen: NOW };
    store.create(id(), &session, None).await.expect("it is written");
    let family = Family {
        session: id(),
        client: "c".into(),
        scopes: Vec::new(),
        created: NOW,
        ends: NOW.plus(9000),
        idle_s: 9000,
        key: [0; 32],
    };
    store.write(move |tables| tables.families.begin(&family, token(1))).await.expect("it begins");
    assert_eq!(rotate(&store, 1, 2, after(0, 0)).await, Rotation::Rotated);
    (directory, store)
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn grace_is_counted_by_the_clock_that_nobody_can_set() {
    for step_ms in [0, HOUR_MS, -HOUR_MS, i64::MIN] {
        let (_directory, store) = exchanged().await;
        assert_eq!(rotate(&store, 2, 3, after(step_ms, 0)).await, Rotation::Rotated);
        let last = after(step_ms, GRACE_MS - 1);
        let way = Rotation::Replayed(vec![vec![2], vec![3]]);
        assert_eq!(rotate(&store, 1, 9, last).await, way, "{step_ms}");
        let first = after(step_ms, GRACE_MS);
        assert_eq!(rotate(&store, 1, 9, first).await, Rotation::Reused, "{step_ms}");
        assert_eq!(rotate(&store, 3, 9, last).await, Rotation::Reused, "{step_ms}");
    }
}

#[tokio::test]
async fn unused_successor_is_led_to_for_longer_and_once_only() {
    let (_directory, store) = exchanged().await;
    let last = after(0, UNUSED_MS - 1);
    assert_eq!(rotate(&store, 1, 9, last).await, Rotation::Replayed(vec![vec![2]]));
    // Two clients may hold it now: it has its grace.
    assert_eq!(rotate(&store, 2, 3, last).await, Rotation::Rotated);
    let within = after(0, UNUSED_MS - 1 + GRACE_MS - 1);
    assert_eq!(rotate(&store, 2, 9, within).await, Rotation::Replayed(vec![vec![3]]));
    let first = after(0, UNUSED_MS - 1 + GRACE_MS);
    assert_eq!(rotate(&store, 2, 9, first).await, Rotation::Reused);

    let (_directory, store) = exchanged().await;
    assert_eq!(rotate(&store, 1, 9, after(0, UNUSED_MS)).await, Rotation::Reused);
}

#[tokio::test]
async fn token_whose_successor_was_used_on_the_way_is_given_up_for_as_long_as_it_led_to_that() {
    let used_at = after(0, UNUSED_MS - 2);
    for (known, ms, expected) in [
        (2, UNUSED_MS - 1, Rotation::Changed),
        (2, UNUSED_MS, Rotation::Reused),
        (3, UNUSED_MS - 1, Rotation::Reused),
    ] {
        let (_directory, store) = exchanged().await;
        assert_eq!(rotate(&store, 2, 3, used_at).await, Rotation::Rotated);
        let outcome = rotate_knowing(&store, known, (1, 9), after(0, ms)).await;
        assert_eq!(outcome, expected, "{known} {ms}");
    }
}

#[tokio::test]
async fn grace_is_counted_by_the_wall_clock_after_a_restart() {
    let unused = UNUSED_MS as i64;
    for (wall_ms, is_replayed) in [
        (0, true),
        (unused - 1, true),
        (unused, false),
        (1 - unused, true),
        (-unused, false),
        (HOUR_MS, false),
        (-HOUR_MS, false),
    ] {
        let (_directory, store) = exchanged().await;
        let at = Instant { process: PROCESS + 1, ..after(wall_ms, 0) };
        let outcome = rotate(&store, 1, 3, at).await;
        let replayed = Rotation::Replayed(vec![vec![2]]);
        let expected = if is_replayed { replayed } else { Rotation::Reused };
        assert_eq!(outcome, expected, "{wall_ms}");
    }
}
