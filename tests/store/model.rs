//! Whatever happens to a store, a reader that follows the protocol knows what it must.
//!
//! ```text
//! acknowledged and live  ⊆  what a reader holds after reading to the end  ⊆  what was ever written
//! ```
//!
//! The two ends are the same but for writes whose outcome is not known, and for what a server lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use portcullis::store::AppendError;
use portcullis::store::embedded::Embedded;
use portcullis::store::redis::Redis;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::harness::redis::RedisServer;

/// How long a record stays after it is spent.
const MARGIN_S: i64 = 3600;

/// How many records there may be; few, so that this is met.
const ENTRIES_MAX: u64 = 12;

/// How many readers follow the log.
const READERS: usize = 2;

/// When a story begins.
const BEGINNING: UnixTime = UnixTime::from_seconds(1_700_000_000);

/// How often something is tried that a lost connection may spoil.
const TRIES_MAX: u32 = 50;

// ---- what happens

/// A record to be appended: about whom, and when it expires.
type Draft = (Scope, Option<i64>);

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A record is appended.
    Append(Draft),
    /// A reader asks once: for a snapshot, or for what comes next.
    Ask(usize),
    /// A reader asks while records are appended.
    AskDuring(usize, Vec<Draft>),
    /// A reader reads to the end.
    ReadOn(usize),
    /// A gateway ends and another takes its place.
    Replace(usize),
    /// Seconds pass.
    Pass(i64),
    /// Spent records are dropped.
    Prune,
    /// The list is read, in pages of so many.
    List(u64),
    /// The log forgets all but the last so many, and at least one; what is live stays.
    Trim(u64),
    /// Connections break.
    Disconnect,
    /// The store is closed and opened.
    Reopen,
    /// The store loses everything.
    Lose,
}

fn scope() -> impl Strategy<Value = Scope> {
    let id = || (0..4_u8).prop_map(|number| Box::from(number.to_string()));
    let perhaps = || proptest::option::of(id());
    prop_oneof![
        (id(), id()).prop_map(|(issuer, id)| Scope::Token { issuer, id }),
        id().prop_map(Scope::Session),
        (perhaps(), id()).prop_map(|(issuer, subject)| Scope::Subject { issuer, subject }),
        id().prop_map(Scope::Client),
        (perhaps(), id()).prop_map(|(issuer, id)| Scope::Key { issuer, id }),
        id().prop_map(Scope::Issuer),
        Just(Scope::Everything),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let lives_s = prop_oneof![Just(Some(0)), (1..5000_i64).prop_map(Some), Just(None)];
    (scope(), lives_s)
}

/// What happens to a store of any kind.
fn event() -> BoxedStrategy<Event> {
    let reader = || 0..READERS;
    prop_oneof![
        8 => draft().prop_map(Event::Append),
        4 => reader().prop_map(Event::Ask),
        2 => (reader(), proptest::collection::vec(draft(), 1..5))
            .prop_map(|(reader, drafts)| Event::AskDuring(reader, drafts)),
        4 => reader().prop_map(Event::ReadOn),
        1 => reader().prop_map(Event::Replace),
        2 => (1..4000_i64).prop_map(Event::Pass),
        1 => Just(Event::Prune),
        1 => (1..6_u64).prop_map(Event::List),
        1 => Just(Event::Reopen),
    ]
    .boxed()
}

/// What happens to a server, beside that.
fn event_at_a_server() -> BoxedStrategy<Event> {
    prop_oneof![
        20 => event(),
        3 => (1..4_u64).prop_map(Event::Trim),
        1 => Just(Event::Disconnect),
        1 => Just(Event::Lose),
    ]
    .boxed()
}

// ---- the stores that it happens to

/// A store of one kind, and what may happen to it.
trait Subject {
    /// Opens what was closed, or was never opened.
    fn open(&mut self) -> Arc<dyn RevocationLog>;

    /// As [`Event::Trim`].
    fn trim(&mut self, kept: u64);

    /// As [`Event::Disconnect`].
    fn disconnect(&mut self);

    /// As [`Event::Lose`].
    fn lose(&mut self);
}

/// The store in a file. Nothing but reopening can happen to it.
struct InFile {
    _directory: TempDir,
    path: PathBuf,
}

impl InFile {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("portcullis.redb");
        Self { _directory: directory, path }
    }
}

impl Subject for InFile {
    fn open(&mut self) -> Arc<dyn RevocationLog> {
        Arc::new(Embedded::open(&self.path).unwrap_or_else(|error| panic!("{error}")))
    }

    fn trim(&mut self, _: u64) {}

    fn disconnect(&mut self) {}

    fn lose(&mut self) {}
}

/// The store in Redis.
struct InRedis<'s> {
    server: &'s RedisServer,
}

impl Subject for InRedis<'_> {
    fn open(&mut self) -> Arc<dyn RevocationLog> {
        let opened = Redis::open(&self.server.settings());
        Arc::new(opened.unwrap_or_else(|error| panic!("{error}")))
    }

    fn trim(&mut self, kept: u64) {
        let log = "portcullis:{revocations}:log";
        self.server.cli(&["XTRIM", log, "MAXLEN", "=", &kept.to_string()]);
    }

    fn disconnect(&mut self) {
        self.server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    }

    fn lose(&mut self) {
        self.server.cli(&["FLUSHALL"]);
    }
}

// ---- the reader

/// Whoever follows the log: what it holds is never taken back.
#[derive(Default)]
struct Reader {
    position: Option<Position>,
    holds: BTreeMap<u64, Record>,
}

/// What came of asking once.
#[derive(PartialEq, Eq)]
enum Asked {
    /// There may be more.
    More,
    /// That was the end.
    End,
    /// The store did not answer.
    Failed,
}

impl Reader {
    /// One step of the protocol.
    async fn ask(&mut self, log: &dyn RevocationLog) -> Asked {
        let Self { position, holds } = self;
        let mut take = |records: Vec<Record>| {
            holds.extend(records.into_iter().map(|record| (record.mark, record)));
        };
        let Some(from) = *position else {
            return match log.snapshot(&mut take).await {
                Ok(begin) => {
                    *position = Some(begin);
                    Asked::More
                }
                Err(_) => Asked::Failed,
            };
        };
        match log.tail(from, Duration::from_millis(1)).await {
            Ok(Tail::Records(records, to)) => {
                take(records);
                *position = Some(to);
                if to == from { Asked::End } else { Asked::More }
            }
            Ok(Tail::Lost(_)) => {
                *position = None;
                Asked::More
            }
            Err(_) => Asked::Failed,
        }
    }

    async fn read_on(&mut self, log: &dyn RevocationLog) {
        let mut failed = 0;
        loop {
            match self.ask(log).await {
                Asked::More => {}
                Asked::End => return,
                Asked::Failed => {
                    failed += 1;
                    assert!(failed < TRIES_MAX, "the store does not come back");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
}

// ---- the model

/// A store, its readers, and what should be in it.
struct ModelledStore<S> {
    subject: S,
    log: Option<Arc<dyn RevocationLog>>,
    readers: [Reader; READERS],
    now: UnixTime,
    /// What was acknowledged, and not lost since.
    acknowledged: Vec<Record>,
    /// The marks of what was ever written, perhaps.
    ever: BTreeSet<u64>,
    /// Whether it is known what the store holds: no write was left without an answer.
    is_certain: bool,
}

impl<S: Subject> ModelledStore<S> {
    fn new(mut subject: S) -> Self {
        let log = Some(subject.open());
        Self {
            subject,
            log,
            readers: Default::default(),
            now: BEGINNING,
            acknowledged: Vec::new(),
            ever: BTreeSet::new(),
            is_certain: true,
        }
    }

    fn log(&self) -> Arc<dyn RevocationLog> {
        self.log.clone().expect("it is open")
    }

    /// What is in the store and not spent, by when it expires.
    fn live(&self, now: UnixTime) -> Vec<&Record> {
        let live = |record: &&Record| record.entry.expires > now;
        let mut live: Vec<_> = self.acknowledged.iter().filter(live).collect();
        live.sort_by_key(|record| (record.entry.expires, record.mark));
        live
    }

    async fn happen(&mut self, event: Event) -> TestCaseResult {
        match event {
            Event::Append(draft) => {
                let live = self.live(self.now.plus(-MARGIN_S)).len() as u64;
                let is_full = live >= ENTRIES_MAX;
                let appended = self.append(vec![draft]).await;
                if self.is_certain {
                    prop_assert_eq!(appended, [if is_full { Written::Full } else { Written::Yes }]);
                }
            }
            Event::Ask(reader) => {
                self.readers[reader].ask(&*self.log()).await;
            }
            Event::AskDuring(reader, drafts) => {
                let log = self.log();
                let mut asking = std::mem::take(&mut self.readers[reader]);
                tokio::join!(asking.ask(&*log), self.append(drafts));
                self.readers[reader] = asking;
            }
            Event::ReadOn(reader) => {
                self.readers[reader].read_on(&*self.log()).await;
                self.compare(reader)?;
            }
            Event::Replace(reader) => self.readers[reader] = Reader::default(),
            Event::Pass(seconds) => self.now = self.now.plus(seconds),
            Event::Prune => {
                // Whether it works after a lost connection is not what is asked here.
                let _ = self.log().prune(self.now).await;
            }
            Event::List(limit) => self.list(limit).await?,
            Event::Trim(kept) => self.subject.trim(kept),
            Event::Disconnect => self.subject.disconnect(),
            Event::Reopen => {
                self.log = None;
                self.log = Some(self.subject.open());
            }
            Event::Lose => {
                self.subject.lose();
                self.acknowledged.clear();
            }
        }
        Ok(())
    }

    /// Appends records, all at once.
    async fn append(&mut self, drafts: Vec<Draft>) -> Vec<Written> {
        let bounds = AppendBounds { entries_max: ENTRIES_MAX, now: self.now, ..bounds() };
        let appending: Vec<_> = drafts
            .into_iter()
            .map(|(scope, lives_s)| {
                let expires = lives_s.map_or(UnixTime::NEVER, |seconds| self.now.plus(seconds));
                let entry = Entry { scope, cut_off: self.now, expires };
                let record = Record { entry, ..record("") };
                self.ever.insert(record.mark);
                let log = self.log();
                tokio::spawn(async move { (log.append(&record, bounds).await, record) })
            })
            .collect();
        let mut written = Vec::new();
        for appending in appending {
            let (outcome, record) = appending.await.expect("no panic");
            written.push(match outcome {
                Ok(position) => {
                    assert_eq!(position.mark, Some(record.mark));
                    self.acknowledged.push(record);
                    Written::Yes
                }
                Err(AppendError::Full) => {
                    self.ever.remove(&record.mark);
                    Written::Full
                }
                Err(AppendError::Store(_) | AppendError::Lifted) => {
                    self.is_certain = false;
                    Written::Perhaps
                }
            });
        }
        written
    }

    /// Holds a reader that has read to the end against what it should know.
    fn compare(&self, reader: usize) -> TestCaseResult {
        let holds = &self.readers[reader].holds;
        for record in self.live(self.now) {
            prop_assert_eq!(holds.get(&record.mark), Some(record), "reader {} lacks it", reader);
        }
        for (mark, record) in holds {
            prop_assert!(self.ever.contains(mark), "never written: {:?}", record);
        }
        Ok(())
    }

    async fn list(&self, limit: u64) -> TestCaseResult {
        if !self.is_certain {
            return Ok(());
        }
        let live = self.live(self.now);
        let mut listed: Vec<Record> = Vec::new();
        loop {
            let page = self.log().list(listed.len() as u64, limit, self.now).await;
            // A lost connection may fail it.
            let Ok(page) = page else { return Ok(()) };
            prop_assert_eq!(page.total, live.len() as u64);
            if page.records.is_empty() {
                break;
            }
            listed.extend(page.records);
        }
        let expiries: Vec<_> = listed.iter().map(|record| record.entry.expires).collect();
        prop_assert!(expiries.is_sorted(), "{:?}", expiries);
        listed.sort_by_key(|record| (record.entry.expires, record.mark));
        prop_assert_eq!(listed.iter().collect::<Vec<_>>(), live);
        Ok(())
    }
}

/// Whether a record was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Yes,
    Full,
    /// Nobody knows.
    Perhaps,
}

/// Tells `cases` stories of these events; each ends with readers that read to the end.
fn tell<S: Subject>(cases: u32, event: BoxedStrategy<Event>, mut subject: impl FnMut() -> S) {
    let runtime = Runtime::new().expect("a runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let subject = std::cell::RefCell::new(&mut subject);
    let told = TestRunner::new(config).run(&proptest::collection::vec(event, 1..60), |events| {
        let mut modelled = ModelledStore::new((subject.borrow_mut())());
        runtime.block_on(async {
            for event in events {
                modelled.happen(event).await?;
            }
            for reader in 0..READERS {
                modelled.happen(Event::ReadOn(reader)).await?;
            }
            Ok(())
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn readers_of_a_file_hold_every_live_record_and_no_other() {
    tell(100, event(), InFile::new);
}

#[test]
fn readers_of_redis_hold_every_live_record_and_no_other() {
    let server = RedisServer::start();
    // It looks this often whether it has been waited long enough; ten times a second is too seldom
    // for those who wait as often as we do.
    server.cli(&["CONFIG", "SET", "hz", "500"]);
    tell(60, event_at_a_server(), || {
        server.cli(&["FLUSHALL"]);
        InRedis { server: &server }
    });
}
