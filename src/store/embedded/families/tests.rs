//! How long an exchange can be asked for again, to the millisecond, and by which clock.

use super::super::Embedded;
use super::*;
use crate::gate::session::{SessionKind, SessionRecord, StoredSession};
use crate::gate::time::SteadyTime;
use crate::store::session::SessionStore;

fn id() -> SessionId {
    SessionId::from_bytes([7; 32])
}
const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
const WALL_MS: u64 = 1_700_000_000_000;
const GRACE_MS: u64 = 10_000;

fn token(number: u8) -> TokenDigest {
    TokenDigest { place: 0, digest: [number; 32] }
}

/// The clocks, so many milliseconds after the exchange.
fn after(wall_ms: i64, steady_ms: u64) -> Instant {
    let wall_ms = WALL_MS.saturating_add_signed(wall_ms);
    Instant { wall_ms, steady: SteadyTime::from_millis(5_000 + steady_ms) }
}

/// Exchanges one token for the next or another.
async fn rotate(
    store: &Embedded,
    presented: u8,
    successor: u8,
    exchanges: &std::sync::Arc<Exchanges>,
    at: Instant,
) -> Rotation {
    let successor = Successor { digest: token(successor), sealed: vec![successor] };
    let presented = token(presented);
    let exchange = Exchange { family: id(), presented, successor, grace_ms: GRACE_MS, now: NOW };
    let exchanges = exchanges.clone();
    let rotating = store.write(move |tables| super::rotate(tables, &exchange, &exchanges, at));
    rotating.await.expect("it is written").expect("it can be read")
}

/// A store in which token 1 was exchanged for 2, and who remembers that.
async fn exchanged() -> (tempfile::TempDir, Embedded, std::sync::Arc<Exchanges>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(&directory.path().join("portcullis.redb")).expect("a file");
    let record = SessionRecord {
        kind: SessionKind::Login,
        subject: "ada".into(),
        issuer: "i".into(),
        method: "password".into(),
        roles: Vec::new(),
        scopes: Vec::new(),
        claims: serde_json::Map::new(),
        created: NOW,
        ends: NOW.plus(9000),
        idle_s: 9000,
        family: "".into(),
        user_agent: "".into(),
        address: "".into(),
        label: "".into(),
    };
    let session = StoredSession { record, last_seen: NOW };
    store.create(id(), &session, NOW).await.expect("it is written");
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
    let exchanges = std::sync::Arc::default();
    assert_eq!(rotate(&store, 1, 2, &exchanges, after(0, 0)).await, Rotation::Rotated);
    (directory, store, exchanges)
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn grace_is_counted_by_the_clock_that_nobody_can_set() {
    for step_ms in [0, HOUR_MS, -HOUR_MS, i64::MIN] {
        let (_directory, store, exchanges) = exchanged().await;
        let last = after(step_ms, GRACE_MS - 1);
        let replayed = rotate(&store, 1, 3, &exchanges, last).await;
        assert_eq!(replayed, Rotation::Replayed(vec![2]), "{step_ms}");
        let first = after(step_ms, GRACE_MS);
        assert_eq!(rotate(&store, 1, 3, &exchanges, first).await, Rotation::Reused, "{step_ms}");
        assert_eq!(rotate(&store, 2, 3, &exchanges, last).await, Rotation::Reused, "{step_ms}");
    }
}

#[tokio::test]
async fn grace_is_counted_by_the_wall_clock_after_a_restart() {
    let grace = GRACE_MS as i64;
    for (wall_ms, is_replayed) in [
        (0, true),
        (grace - 1, true),
        (grace, false),
        (1 - grace, true),
        (-grace, false),
        (HOUR_MS, false),
        (-HOUR_MS, false),
    ] {
        let (_directory, store, _) = exchanged().await;
        let forgetful = std::sync::Arc::default();
        let outcome = rotate(&store, 1, 3, &forgetful, after(wall_ms, 0)).await;
        let expected = if is_replayed { Rotation::Replayed(vec![2]) } else { Rotation::Reused };
        assert_eq!(outcome, expected, "{wall_ms}");
    }
}

#[tokio::test]
async fn exchange_that_is_remembered_and_was_not_written_says_nothing() {
    let (_directory, store, exchanges) = exchanged().await;
    // As if one for 9 had been made, and the disk had failed.
    exchanges.note(id(), token(9), after(0, 0).steady);
    let late = after(GRACE_MS as i64, 1);
    assert_eq!(rotate(&store, 1, 3, &exchanges, late).await, Rotation::Reused);
}
