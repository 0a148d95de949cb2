//! Whatever happens to families, a store answers as a map of them would.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::runtime::Runtime;

use super::*;

/// Before now a story begins, so long that it ends before now: a server has its own clock, and
/// nothing is over that is not over by that.
const STORY_S: i64 = 400_000;

/// How often a family may be exchanged: of more exchanges within a grace not all are remembered.
const EXCHANGES_MAX: usize = 7;

/// How many families there may be.
const FAMILIES: u64 = 4;

/// Which of the tokens that a family has led to.
#[derive(Clone, Copy, Debug)]
enum Which {
    Current,
    /// So many exchanges ago.
    Earlier(usize),
    MadeUp,
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A family begins that lives so long, and may rest so long.
    Begin(u64, i64, i64),
    /// A token is presented, within the grace or after it, for a token or the last one again.
    Rotate(u64, Which, bool, bool),
    LogOut(u64),
    Find(u64),
    /// Something is used that may be used once.
    Spend(u8),
    Prune,
    /// Seconds pass.
    Pass(i64),
    /// The store is closed and opened.
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    let number = || 0..FAMILIES;
    let lifetime = prop_oneof![1..20_000_i64, Just(2 * STORY_S)];
    let which = prop_oneof![
        12 => Just(Which::Current),
        3 => Just(Which::Earlier(1)),
        1 => (2..4_usize).prop_map(Which::Earlier),
        1 => Just(Which::MadeUp),
    ];
    let within = prop_oneof![5 => Just(true), 1 => Just(false)];
    let again = prop_oneof![1 => Just(true), 5 => Just(false)];
    prop_oneof![
        4 => (number(), lifetime, 1..9000_i64)
            .prop_map(|(number, lifetime, idle)| Event::Begin(number, lifetime, idle)),
        12 => (number(), which, within, again)
            .prop_map(|(number, which, within, again)| Event::Rotate(number, which, within, again)),
        2 => number().prop_map(Event::LogOut),
        3 => number().prop_map(Event::Find),
        2 => (0..20_u8).prop_map(Event::Spend),
        1 => Just(Event::Prune),
        3 => (1..4000_i64).prop_map(Event::Pass),
        1 => Just(Event::Reopen),
    ]
}

/// A family as it should be.
struct Expected {
    family: Family,
    used: UnixTime,
    is_dead: bool,
    /// All its tokens, the current one last.
    tokens: Vec<u64>,
}

/// A store, and what should be in it.
struct ModelledStore<S> {
    opened: Arc<dyn FamilyAndSessionStore>,
    open: S,
    /// When families go by themselves that ended an hour before; those of others are dropped.
    gone: Option<UnixTime>,
    now: UnixTime,
    /// How many tokens and families were made.
    made: u64,
    /// By its place: the number of the session. One that is gone leaves its number.
    sessions: [Option<(u64, bool)>; FAMILIES as usize],
    families: BTreeMap<u64, Expected>,
    spent: Vec<u8>,
}

impl<S: Fn() -> Arc<dyn FamilyAndSessionStore>> ModelledStore<S> {
    async fn happen(&mut self, event: Event) -> TestCaseResult {
        match event {
            Event::Begin(place, lifetime_s, idle_s) => {
                self.made += 1;
                let number = self.made;
                let ends = self.now.plus(lifetime_s);
                let family = Family { ends, idle_s, ..family(number, self.now) };
                begin(&*self.opened, &family).await;
                self.sessions[place as usize] = Some((number, true));
                let is_there = self.gone.is_none_or(|gone| gone < ends.plus(MARGIN_S));
                if is_there {
                    let tokens = vec![0];
                    let used = self.now;
                    let expected = Expected { family, used, is_dead: false, tokens };
                    self.families.insert(number, expected);
                }
            }
            Event::Rotate(place, which, is_within, is_again) => {
                let (number, has_session) = self.session(place);
                self.rotate(number, has_session, which, is_within, is_again).await?;
            }
            Event::LogOut(place) => {
                let (number, had_session) = self.session(place);
                self.families.remove(&number);
                prop_assert_eq!(self.opened.delete(id(number)).await, Ok(had_session));
                self.sessions[place as usize] = Some((number, false));
            }
            Event::Find(place) => self.find(self.session(place).0).await?,
            Event::Spend(key) => {
                let is_first = !self.spent.contains(&key);
                self.spent.push(key);
                let until = self.now.plus(2 * STORY_S);
                let spent = self.opened.spend(&key.to_string(), until, self.now).await;
                prop_assert_eq!(spent, Ok(is_first));
            }
            Event::Prune => {
                prop_assert_eq!(SessionStore::prune(&*self.opened, self.now).await, Ok(0));
                if self.gone.is_none() {
                    let spent = self.now.plus(-MARGIN_S);
                    self.families.retain(|_, expected| spent < expected.rests_until());
                }
            }
            Event::Pass(seconds) => self.now = self.now.plus(seconds),
            Event::Reopen => {
                let nothing = place();
                self.opened = Arc::new(in_file(&nothing.1));
                self.opened = (self.open)();
            }
        }
        Ok(())
    }

    /// The session in a place, and whether it is there.
    fn session(&self, place: u64) -> (u64, bool) {
        self.sessions[place as usize].unwrap_or((1_000_000 + place, false))
    }

    async fn rotate(
        &mut self,
        number: u64,
        has_session: bool,
        which: Which,
        is_within: bool,
        is_again: bool,
    ) -> TestCaseResult {
        self.made += 1;
        let expected = self.families.get_mut(&number);
        let tokens = expected.as_ref().map(|expected| expected.tokens.clone()).unwrap_or_default();
        let last = tokens.last().copied().unwrap_or_default();
        let presented = match which {
            Which::Current => last,
            Which::Earlier(ago) => tokens.iter().rev().nth(ago).copied().unwrap_or(u64::MAX),
            Which::MadeUp => u64::MAX,
        };
        if presented == last && tokens.len() > EXCHANGES_MAX {
            return Ok(());
        }
        let is_previous = tokens.iter().rev().nth(1) == Some(&presented);
        // What was asked for before is asked for again; a current token has not been asked for.
        let is_again = is_again && is_previous;
        let to = if is_again { last } else { self.made };
        let outcome = match expected {
            None => Rotation::Absent,
            Some(_) if !has_session => Rotation::Absent,
            Some(Expected { is_dead: true, .. }) => Rotation::Reused,
            Some(expected) if self.now >= expected.rests_until() => Rotation::Expired,
            Some(expected) if presented == last => {
                expected.tokens.push(to);
                expected.used = expected.used.max(self.now);
                Rotation::Rotated
            }
            Some(_) if is_again => Rotation::Rotated,
            Some(expected) if is_within && expected.tokens.contains(&presented) => {
                let after = expected.tokens.iter().skip_while(|token| **token != presented);
                Rotation::Replayed(after.skip(1).map(|token| sealed(*token)).collect())
            }
            Some(expected) => {
                expected.is_dead = true;
                Rotation::Reused
            }
        };
        let grace_ms = if is_within { GRACE_MS } else { 0 };
        let rotated = rotate_within(&*self.opened, number, presented, to, grace_ms, self.now).await;
        prop_assert_eq!(rotated, outcome);
        self.find(number).await
    }

    async fn find(&self, number: u64) -> TestCaseResult {
        let expected = self.families.get(&number).map(|expected| StoredFamily {
            is_dead: expected.is_dead,
            ..used(&expected.family, *expected.tokens.last().expect("one at least"), expected.used)
        });
        prop_assert_eq!(kept(&*self.opened, number).await, expected);
        let Some(expected) = self.families.get(&number) else { return Ok(()) };
        if let Some(session) = found(&*self.opened, number).await {
            prop_assert_eq!(session.last_seen, expected.used);
        }
        Ok(())
    }
}

impl Expected {
    fn rests_until(&self) -> UnixTime {
        self.family.ends.min(self.used.plus(self.family.idle_s))
    }
}

/// Tells `cases` stories; each ends with a look at everything.
fn tell<S>(cases: u32, gone: Option<UnixTime>, mut begin: impl FnMut() -> S)
where
    S: Fn() -> Arc<dyn FamilyAndSessionStore>,
{
    let runtime = Runtime::new().expect("a runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let begin = std::cell::RefCell::new(&mut begin);
    let told = TestRunner::new(config).run(&proptest::collection::vec(event(), 1..60), |events| {
        let open = (begin.borrow_mut())();
        runtime.block_on(async {
            let mut modelled = ModelledStore {
                opened: open(),
                open,
                gone,
                now: clock::now().plus(-STORY_S),
                made: 0,
                sessions: [None; FAMILIES as usize],
                families: BTreeMap::new(),
                spent: Vec::new(),
            };
            for event in events {
                modelled.happen(event).await?;
            }
            for number in 0..=modelled.made {
                modelled.find(number).await?;
            }
            Ok(())
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn file_answers_as_a_map_would() {
    tell(60, None, || {
        let place = place();
        move || Arc::new(in_file(&place.1)) as Arc<dyn FamilyAndSessionStore>
    });
}

#[test]
fn redis_answers_as_a_map_would() {
    let server = RedisServer::start();
    // What ended an hour before now is gone at once.
    tell(100, Some(clock::now()), || {
        server.flush();
        || Arc::new(in_redis(&server)) as Arc<dyn FamilyAndSessionStore>
    });
}
