//! Both stores merge alike, and nothing that ended comes back: a model of accounts.

use super::*;

/// One thing that happens, of a subject.
#[derive(Clone, Debug)]
enum Event {
    LogIn(u8),
    /// One of its sessions ends, by its number; the entry lives so long.
    End(u8, usize, i64),
    Everywhere(u8),
    /// A token of one of its sessions is used twice; the entry lives so long.
    Reuse(u8, usize, i64),
    /// An operator cuts something else off.
    Operator,
    /// Seconds pass.
    Pass(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let subject = || 0..3_u8;
    prop_oneof![
        6 => subject().prop_map(Event::LogIn),
        8 => (subject(), 0..20_usize, 1000..9000_i64)
            .prop_map(|(subject, number, lives_s)| Event::End(subject, number, lives_s)),
        1 => subject().prop_map(Event::Everywhere),
        4 => (subject(), 0..20_usize, 1000..9000_i64)
            .prop_map(|(subject, number, lives_s)| Event::Reuse(subject, number, lives_s)),
        2 => Just(Event::Operator),
        3 => (1..3_i64).prop_map(Event::Pass),
    ]
}

/// A session that began, and whether it was to end.
#[derive(Clone, Copy)]
struct Login {
    number: u64,
    created: UnixTime,
    is_ended: bool,
}

struct ModelledStore<'s> {
    stores: [&'s dyn WholeStore; 2],
    entries_max: u64,
    now: UnixTime,
    made: u64,
    logins: BTreeMap<u8, Vec<Login>>,
}

impl ModelledStore<'_> {
    async fn happen(&mut self, event: Event) -> TestCaseResult {
        match event {
            Event::LogIn(subject) => {
                self.made += 1;
                // A gateway begins nothing in the second of a cut-off that hits it.
                self.now = self.now.plus(1);
                let (number, created) = (self.made, self.now);
                for store in self.stores {
                    log_in(store, number, &subject.to_string(), created).await;
                }
                let login = Login { number, created, is_ended: false };
                self.logins.entry(subject).or_default().push(login);
            }
            Event::End(subject, number, lives_s) => {
                let logins = self.logins.entry(subject).or_default();
                let count = logins.len().max(1);
                let Some(login) = logins.get_mut(number % count) else { return Ok(()) };
                let expires = self.now.plus(lives_s);
                let record = end(login.number, &subject.to_string(), login.created, expires);
                let is_taken = self.charge(&record).await?;
                let login =
                    self.logins.get_mut(&subject).and_then(|all| all.get_mut(number % count));
                login.expect("it was there").is_ended |= is_taken;
            }
            Event::Everywhere(subject) => {
                let expires = self.now.plus(LIVES_S);
                let record = everywhere(&subject.to_string(), self.now, expires);
                if self.charge(&record).await? {
                    let logins = self.logins.entry(subject).or_default().iter_mut();
                    logins.for_each(|login| login.is_ended = true);
                }
            }
            Event::Reuse(subject, number, lives_s) => {
                let logins = self.logins.entry(subject).or_default();
                let count = logins.len().max(1);
                let Some(login) = logins.get_mut(number % count) else { return Ok(()) };
                let expires = self.now.plus(lives_s);
                let record = end(login.number, &subject.to_string(), login.created, expires);
                let (number, entries_max) = (login.number, self.entries_max);
                let mut outcomes = Vec::new();
                for store in self.stores {
                    let was_there = is_there(store, number).await;
                    let rotated = reuse(store, number, &record, entries_max).await;
                    assert_eq!(was_there, rotated != Rotation::Absent);
                    assert!(!is_there(store, number).await);
                    outcomes.push(written(&rotated));
                }
                prop_assert_eq!(&outcomes[0], &outcomes[1]);
                // Where there is no room, nobody knows of it but the store.
                login.is_ended |= matches!(&outcomes[0], Some(Some(_)));
            }
            Event::Operator => {
                self.made += 1;
                let entry = Entry {
                    scope: Scope::Client(self.made.to_string().into()),
                    cut_off: self.now,
                    expires: clock::now().plus(LIVES_S),
                };
                let record = Record { entry, ..record("") };
                let bounds = AppendBounds {
                    entries_max: self.entries_max,
                    now: clock::now(),
                    login_issuer: Some(ISSUER),
                };
                let [file, redis] = self.stores;
                let appended =
                    [file.append(&record, bounds).await, redis.append(&record, bounds).await];
                prop_assert_eq!(appended[0].is_ok(), appended[1].is_ok());
            }
            Event::Pass(seconds) => self.now = self.now.plus(seconds),
        }
        self.compare().await
    }

    /// Charges both; whether they took it.
    async fn charge(&self, record: &Record) -> Result<bool, TestCaseError> {
        let mut outcomes = Vec::new();
        for store in self.stores {
            let charged = charge(store, record, self.entries_max).await;
            outcomes.push(match charged {
                Ok(Charged { written, .. }) => {
                    Some(written.into_iter().map(|record| record.entry).collect::<Vec<_>>())
                }
                Err(AppendError::Full) => None,
                Err(error) => panic!("{error}"),
            });
        }
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
        Ok(outcomes[0].is_some())
    }

    /// Both hold the same, within the bounds, and what was to end is cut off.
    async fn compare(&self) -> TestCaseResult {
        let [file, redis] = self.stores;
        let mut lists = [live(file).await, live(redis).await];
        lists.iter_mut().for_each(|list| list.sort_by_key(|entry| format!("{entry:?}")));
        let [list, other] = lists;
        prop_assert_eq!(&list, &other);
        prop_assert!(list.len() as u64 <= self.entries_max);
        for (subject, logins) in &self.logins {
            let subject = subject.to_string();
            let hits = |entry: &Entry, login: &Login| match &entry.scope {
                Scope::Session(session) => **session == *id(login.number).to_string(),
                Scope::Grants { subject: whose, .. } | Scope::Subject { subject: whose, .. } => {
                    **whose == *subject && login.created <= entry.cut_off
                }
                Scope::Token { .. }
                | Scope::Client(_)
                | Scope::Key { .. }
                | Scope::Issuer(_)
                | Scope::Everything => false,
            };
            for login in logins {
                let is_hit = list.iter().any(|entry| hits(entry, login));
                let is_there = is_there(file, login.number).await;
                prop_assert_eq!(is_there, self::is_there(redis, login.number).await);
                prop_assert!(is_hit || !login.is_ended, "{:?} lacks {}", list, login.number);
                prop_assert!(!(is_hit && is_there), "{} is cut off, and there", login.number);
            }
        }
        Ok(())
    }
}

#[test]
fn file_and_redis_merge_alike_and_nothing_that_ended_comes_back() {
    let runtime = Runtime::new().expect("a runtime");
    let server = RedisServer::start();
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let strategy = (proptest::collection::vec(event(), 1..60), 1..24_u64);
    let told = TestRunner::new(config).run(&strategy, |(events, entries_max)| {
        server.flush();
        let (_directory, path) = place();
        runtime.block_on(async {
            let (file, redis) = (in_file(&path), in_redis(&server));
            let mut modelled = ModelledStore {
                stores: [&file, &redis],
                entries_max,
                now: clock::now().plus(-500),
                made: 0,
                logins: BTreeMap::new(),
            };
            for event in events {
                modelled.happen(event).await?;
            }
            Ok(())
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}
