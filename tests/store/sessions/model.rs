//! Whatever happens to sessions, a store answers as a map of them would.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::runtime::Runtime;

use super::*;

/// Before now a story begins, so long that it ends before now: a server has its own clock, and
/// drops nothing that is live by that.
const STORY_S: i64 = 400_000;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// So many logins of a subject: how long the sessions live, and may rest.
    LogIn(u8, usize, i64, i64),
    /// The last login is written down once more.
    LogInAgain,
    /// A session is asked for.
    Find(usize),
    /// Some sessions are used, or were, so many seconds ago.
    Touch(Vec<(usize, i64)>),
    /// A session is deleted.
    LogOut(usize),
    /// A subject's sessions are asked for.
    List(u8),
    /// Sessions that ended are dropped.
    Prune,
    /// Seconds pass.
    Pass(i64),
    /// The store is closed and opened.
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    let subject = || 0..3_u8;
    let any = || 0..200_usize;
    // The first are over by now, the last are not when the story ends.
    let lifetime = prop_oneof![1..9000_i64, Just(2 * STORY_S)];
    let seen = (any(), -2000..2000_i64);
    prop_oneof![
        4 => (subject(), 1..4_usize, lifetime, 1..9000_i64)
            .prop_map(|(subject, count, lifetime, idle)| Event::LogIn(subject, count, lifetime, idle)),
        1 => (subject(), 40..70_usize)
            .prop_map(|(subject, count)| Event::LogIn(subject, count, 2 * STORY_S, 5000)),
        1 => Just(Event::LogInAgain),
        4 => any().prop_map(Event::Find),
        4 => proptest::collection::vec(seen, 0..5).prop_map(Event::Touch),
        2 => any().prop_map(Event::LogOut),
        3 => subject().prop_map(Event::List),
        2 => Just(Event::Prune),
        3 => (1..6000_i64).prop_map(Event::Pass),
        1 => Just(Event::Reopen),
    ]
}

/// A store, and what should be in it.
struct ModelledStore<S> {
    opened: Arc<dyn SessionStore>,
    open: S,
    /// When records go by themselves, if they do.
    gone: Option<UnixTime>,
    now: UnixTime,
    logins: u64,
    last: Option<(SessionId, StoredSession)>,
    /// By id.
    sessions: BTreeMap<SessionId, StoredSession>,
    /// Those that are gone, but not forgotten: their records went by themselves.
    ghosts: Vec<StoredSession>,
}

/// When it is no longer usable, if nobody uses it.
fn rests_until(session: &StoredSession) -> UnixTime {
    session.record.ends.min(session.last_seen.plus(session.record.idle_s))
}

impl<S: Fn() -> Arc<dyn SessionStore>> ModelledStore<S> {
    async fn happen(&mut self, event: Event) -> TestCaseResult {
        match event {
            Event::LogIn(subject, count, lifetime_s, idle_s) => {
                for _ in 0..count {
                    self.log_in(subject, lifetime_s, idle_s).await?;
                }
            }
            Event::LogInAgain => {
                if let Some((id, session)) = &self.last
                    && self.sessions.contains_key(id)
                {
                    let again = self.opened.create(*id, session, None).await;
                    prop_assert_eq!(again, Ok(Vec::new()));
                }
            }
            Event::Find(number) => self.find(number).await?,
            Event::Touch(seen) => {
                let seen: Vec<_> = seen
                    .into_iter()
                    .map(|(number, ago_s)| (self.nth(number), self.now.plus(-ago_s)))
                    .collect();
                prop_assert_eq!(self.opened.touch(&seen).await, Ok(()));
                for (id, seen) in seen {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.last_seen = session.last_seen.max(seen);
                    }
                }
            }
            Event::LogOut(number) => {
                let id = self.nth(number);
                let was_there = self.sessions.remove(&id).is_some();
                prop_assert_eq!(self.opened.delete(id).await, Ok(was_there));
            }
            Event::List(subject) => self.list(subject).await?,
            Event::Prune => self.prune().await?,
            Event::Pass(seconds) => self.now = self.now.plus(seconds),
            Event::Reopen => {
                let nothing = place();
                self.opened = Arc::new(in_file(&nothing.1));
                self.opened = (self.open)();
            }
        }
        Ok(())
    }

    /// An id that was given, as long as there was a login.
    fn nth(&self, number: usize) -> SessionId {
        id(self.logins.saturating_sub(number as u64))
    }

    async fn log_in(&mut self, subject: u8, lifetime_s: i64, idle_s: i64) -> TestCaseResult {
        // No two at once, so that it is known which is the oldest.
        self.now = self.now.plus(1);
        self.logins += 1;
        let id = id(self.logins);
        let mut created = session(&subject.to_string(), self.now);
        created.record.ends = self.now.plus(lifetime_s);
        created.record.idle_s = idle_s;
        let displaced = self.opened.create(id, &created, None).await;
        self.last = Some((id, created.clone()));
        if self.gone.is_some_and(|gone| created.record.ends.plus(MARGIN_S) <= gone) {
            self.ghosts.push(created.clone());
        } else {
            self.sessions.insert(id, created.clone());
        }
        let mut of_subject: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.record.subject == created.record.subject)
            .map(|(id, session)| (session.record.created, *id))
            .collect();
        of_subject.sort();
        let excess = of_subject.len().saturating_sub(SESSIONS_PER_SUBJECT_MAX);
        let oldest: Vec<_> = of_subject.iter().take(excess).map(|(_, id)| *id).collect();
        let displaced = displaced.map(|all| all.iter().map(|one| one.id).collect::<Vec<_>>());
        prop_assert_eq!(displaced, Ok(oldest.clone()));
        for id in oldest {
            self.sessions.remove(&id);
        }
        Ok(())
    }

    async fn find(&self, number: usize) -> TestCaseResult {
        let id = self.nth(number);
        prop_assert_eq!(self.opened.find(id).await, Ok(self.sessions.get(&id).cloned()));
        Ok(())
    }

    async fn list(&self, subject: u8) -> TestCaseResult {
        let name = subject.to_string();
        let mut usable: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| *session.record.subject == *name)
            .filter(|(_, session)| self.now < rests_until(session))
            .map(|(id, session)| (*id, session.clone()))
            .collect();
        usable.sort_by_key(|(_, session)| std::cmp::Reverse(session.record.created));
        prop_assert_eq!(self.opened.of_subject(ISSUER, &name, self.now).await, Ok(usable));
        Ok(())
    }

    async fn prune(&mut self) -> TestCaseResult {
        let before = self.sessions.len();
        let spent = self.now.plus(-MARGIN_S);
        self.sessions.retain(|_, session| spent < rests_until(session));
        let dropped = (before - self.sessions.len()) as u64;
        let pruned = self.opened.prune(self.now).await;
        match self.gone {
            None => prop_assert_eq!(pruned, Ok(dropped)),
            // Those whose records went by themselves are counted when it is noticed, or by whoever
            // noticed it before.
            Some(_) => {
                let ghosts = self.ghosts.len() as u64;
                let pruned = pruned.expect("it answers");
                prop_assert!((dropped..=dropped + ghosts).contains(&pruned), "{}", pruned);
            }
        }
        Ok(())
    }
}

/// Tells `cases` stories; each ends with a look at everything.
fn tell<S>(cases: u32, gone: Option<UnixTime>, mut begin: impl FnMut() -> S)
where
    S: Fn() -> Arc<dyn SessionStore>,
{
    let runtime = Runtime::new().expect("a runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let begin = std::cell::RefCell::new(&mut begin);
    let told = TestRunner::new(config).run(&proptest::collection::vec(event(), 1..50), |events| {
        let open = (begin.borrow_mut())();
        runtime.block_on(async {
            let mut modelled = ModelledStore {
                opened: open(),
                open,
                gone,
                now: clock::now().plus(-STORY_S),
                logins: 0,
                last: None,
                sessions: BTreeMap::new(),
                ghosts: Vec::new(),
            };
            for event in events {
                modelled.happen(event).await?;
            }
            for number in 0..200 {
                modelled.find(number).await?;
            }
            for subject in 0..3 {
                modelled.list(subject).await?;
            }
            modelled.prune().await
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn file_answers_as_a_map_would() {
    tell(40, None, || {
        let place = place();
        move || Arc::new(in_file(&place.1)) as Arc<dyn SessionStore>
    });
}

#[test]
fn redis_answers_as_a_map_would() {
    let server = RedisServer::start();
    // What expires before now is gone at once.
    tell(60, Some(clock::now()), || {
        server.cli(&["FLUSHALL"]);
        || Arc::new(in_redis(&server)) as Arc<dyn SessionStore>
    });
}
