//! Lifts: they take the place of what they lift, and what was lifted does not come back.

use std::sync::Arc;

use portcullis::gate::revocation::Lifted;
use portcullis::store::redis::Redis;
use portcullis::store::{AppendError, LiftPremise};
use tempfile::TempDir;

use super::sessions::{in_file, in_redis, place};
use super::*;
use crate::harness::proxy::Proxy;
use crate::harness::redis::{Cluster, RedisServer};

const LIVE: &str = "portcullis:{revocations}:live";
const LIFTED: &str = "portcullis:{revocations}:lifted";

/// A cut-off of a subject, which expires in an hour.
fn cut_off(subject: &str) -> Record {
    let scope = Scope::Subject { issuer: None, subject: subject.into() };
    let record = record("");
    Record { entry: Entry { scope, ..record.entry.clone() }, ..record }
}

fn lifted(record: &Record) -> Lifted {
    Lifted { id: record.id(), expires: record.entry.expires }
}

/// The lift of these, which are of one scope.
fn lift_of(records: &[&Record]) -> Record {
    let lifts = records.iter().map(|record| lifted(record)).collect();
    Record { entry: records[0].entry.clone(), lifts, ..record("") }
}

/// The same record, written down once more.
fn again(record: &Record) -> Record {
    Record { mark: fastrand::u64(..), ..record.clone() }
}

async fn lift(log: &dyn RevocationLog, lift: &Record) -> Option<Position> {
    log.lift(lift, LiftPremise::IsLive, clock::now()).await.expect("it answers")
}

async fn put(log: &dyn RevocationLog, record: &Record) {
    log.append(record, bounds()).await.expect("it is appended");
}

async fn live(log: &dyn RevocationLog) -> Vec<Record> {
    let (mut records, _) = snapshot(log).await.expect("a snapshot");
    records.sort_by_key(|record| record.mark);
    records
}

fn sorted(records: &[&Record]) -> Vec<Record> {
    let mut records: Vec<_> = records.iter().map(|record| (*record).clone()).collect();
    records.sort_by_key(|record| record.mark);
    records
}

/// Both stores, and what they need.
struct BothStores {
    _server: RedisServer,
    _directory: TempDir,
    stores: [Arc<dyn RevocationLog>; 2],
}

fn both() -> BothStores {
    let server = RedisServer::start();
    let (directory, path) = place();
    let stores: [Arc<dyn RevocationLog>; 2] =
        [Arc::new(in_file(&path)), Arc::new(in_redis(&server))];
    BothStores { _server: server, _directory: directory, stores }
}

#[tokio::test(flavor = "multi_thread")]
async fn lift_takes_the_place_of_what_it_lifts_in_a_full_list() {
    for log in &both().stores {
        let (mistake, other) = (cut_off("ada"), record("s"));
        let two = AppendBounds { entries_max: 2, ..bounds() };
        for record in [&mistake, &other] {
            log.append(record, two).await.expect("there is room");
        }
        let one_more = record("t");
        assert_eq!(log.append(&one_more, two).await, Err(AppendError::Full));
        let lift_it = lift_of(&[&mistake]);
        let position = lift(&**log, &lift_it).await.expect("it was live");
        assert_eq!(position, Position { sequence: 3, mark: Some(lift_it.mark) });
        assert_eq!(live(&**log).await, sorted(&[&other, &lift_it]));
        let before = Position { sequence: 2, mark: Some(other.mark) };
        assert_eq!(read(&**log, before).await, (vec![lift_it], position));
        assert_eq!(log.append(&one_more, two).await, Err(AppendError::Full));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lift_names_its_revocations_and_no_others() {
    for log in &both().stores {
        let (first, second) = (cut_off("ada"), cut_off("ada"));
        let expires = first.entry.expires;
        let second = Record { written_us: first.written_us + 1, ..second };
        let second = Record { entry: first.entry.clone(), ..second };
        let token = record_until("s", expires);
        for record in [&first, &again(&first), &second, &token] {
            put(&**log, record).await;
        }
        let sought = [lifted(&first), lifted(&token)];
        let found = log.find_liftable(&sought).await.expect("it answers");
        assert!(found.len() == 2 && found.iter().all(|one| one.id() == first.id()), "{found:?}");
        let lift_it = lift_of(&[&first]);
        assert!(lift(&**log, &lift_it).await.is_some());
        assert_eq!(live(&**log).await, sorted(&[&second, &token, &lift_it]));
        assert_eq!(log.find_liftable(&sought).await, Ok(Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lift_of_what_is_not_live_does_nothing_unless_it_was_written_before() {
    for log in &both().stores {
        let mistake = cut_off("ada");
        assert_eq!(lift(&**log, &lift_of(&[&mistake])).await, None);
        put(&**log, &mistake).await;
        let first = lift_of(&[&mistake]);
        assert!(lift(&**log, &first).await.is_some());
        let second = lift_of(&[&mistake]);
        assert_eq!(lift(&**log, &second).await, None);
        assert_eq!(live(&**log).await, sorted(&[&first]));
        let written = log.lift(&second, LiftPremise::WasWritten, clock::now()).await;
        assert!(written.expect("it answers").is_some());
        assert_eq!(live(&**log).await, sorted(&[&first, &second]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lifted_is_not_taken_again_and_a_lift_that_is_sent_twice_is_one() {
    let server = RedisServer::start();
    let log = in_redis(&server);
    let mistake = cut_off("ada");
    put(&log, &mistake).await;
    let lift_it = lift_of(&[&mistake]);
    let first = lift(&log, &lift_it).await.expect("it was live");
    let second = lift(&log, &lift_it).await.expect("it was done");
    assert_eq!((first.sequence, second), (2, Position { sequence: 2, mark: None }));
    assert_eq!(log.append(&again(&mistake), bounds()).await, Err(AppendError::Lifted));
    let later = cut_off("ada");
    put(&log, &later).await;
    assert_eq!(live(&log).await, sorted(&[&lift_it, &later]));
    assert_eq!(server.cli(&["zcard", LIFTED]).trim(), "1");
    // What is spent is forgotten with the next lift.
    server.cli(&["zadd", LIFTED, "1000", &mistake.id().to_string()]);
    assert!(lift(&log, &lift_of(&[&later])).await.is_some());
    assert_eq!(server.cli(&["zrange", LIFTED, "0", "-1"]).trim(), later.id().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn lift_that_was_given_up_is_not_done_when_it_gets_there() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut settings = server.settings();
    let portcullis::store::settings::RedisServers::Single(address) = &mut settings.servers else {
        panic!("one server");
    };
    address.port = proxy.port();
    let log = Redis::open(&settings).expect("settings that can work");
    clock::share(clock::micros() / 1000, clock::steady());
    let (other, mistake) = (cut_off("bob"), cut_off("ada"));
    put(&log, &other).await;
    put(&log, &mistake).await;
    // From now on the server knows the script.
    let first = lift_of(&[&other]);
    assert!(lift(&log, &first).await.is_some());
    let late = lift_of(&[&mistake]);
    proxy.hold_at(&late.mark.to_string());
    let given_up = log.lift(&late, LiftPremise::IsLive, clock::now()).await;
    assert!(matches!(given_up, Err(StoreError::Unavailable(_))), "{given_up:?}");
    proxy.await_held().deliver();
    assert_eq!(live(&in_redis(&server)).await, sorted(&[&first, &mistake]));
    assert!(lift(&log, &lift_of(&[&mistake])).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn lift_is_one_step_in_a_cluster() {
    let cluster = Cluster::start();
    let settings = cluster.settings(&cluster.nodes().iter().collect::<Vec<_>>());
    let log = Redis::open(&settings).expect("settings that can work");
    let mistake = cut_off("ada");
    put(&log, &mistake).await;
    let lift_it = lift_of(&[&mistake]);
    assert!(lift(&log, &lift_it).await.is_some());
    assert_eq!(live(&log).await, sorted(&[&lift_it]));
    assert_eq!(cluster.home_of(LIFTED), cluster.home_of(LIVE));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_lifts_take_no_more_room_than_what_they_lift() {
    const COUNT: usize = 10_000;
    for log in &both().stores {
        let bounds = AppendBounds { entries_max: COUNT as u64, ..bounds() };
        let mistakes: Vec<_> = (0..COUNT)
            .map(|number| {
                let mut record = cut_off(&format!("user-{number}"));
                // As many seconds as there are people: each is found by its own.
                record.entry.expires = record.entry.expires.plus(number as i64);
                record
            })
            .collect();
        for some in mistakes.chunks(50) {
            let appending = some.iter().map(|record| {
                let (log, record) = (log.clone(), record.clone());
                tokio::spawn(async move {
                    log.append(&record, bounds).await.expect("there is room");
                    let lift = lift_of(&[&record]);
                    log.lift(&lift, LiftPremise::IsLive, clock::now()).await.expect("it answers")
                })
            });
            for lifted in appending.collect::<Vec<_>>() {
                assert!(lifted.await.expect("no panic").is_some());
            }
        }
        let live = live(&**log).await;
        assert!(live.len() == COUNT && live.iter().all(Record::is_lift), "{}", live.len());
        assert_eq!(log.append(&cut_off("one more"), bounds).await, Err(AppendError::Full));
    }
}
