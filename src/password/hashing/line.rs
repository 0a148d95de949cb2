//! Who hashes next. Turns go round between networks and, within one, between accounts; nobody holds
//! more than a part of the places, and who holds many makes room for who holds few.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::sync::oneshot;

use crate::network::network_of;

/// How long somebody waits for their turn at most.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Who wants something hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    /// A digest: names are of any length.
    account: [u8; 32],
    /// `None` for those who come from nowhere, who count as one.
    network: Option<IpAddr>,
}

impl Party {
    /// The account that people log in to by this name, in any of its spellings.
    pub(crate) fn of_user(name: &str, client: Option<IpAddr>) -> Self {
        let account = account(&["user", &name.trim().to_lowercase()]);
        Self { account, network: client.map(network_of) }
    }

    /// A client of this id, as it comes from one network: ids are no secrets, and others who name it
    /// must not keep it waiting.
    pub(crate) fn of_client(id: &str, client: Option<IpAddr>) -> Self {
        let network = client.map(network_of);
        let place = network.map(|network| network.to_string()).unwrap_or_default();
        Self { account: account(&["client", id, &place]), network }
    }
}

fn account(parts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut account = [0; 32];
    account.copy_from_slice(context.finish().as_ref());
    account
}

/// How many places there are, for those who hash and those who wait together.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashingPlaces {
    /// How many hash at once.
    pub(super) hashing: usize,
    /// How many hash or wait, in all.
    pub(super) all: usize,
    /// How many of these one network may hold.
    pub(super) of_network: usize,
    /// How many one account may hold.
    pub(super) of_account: usize,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The account, or its network, holds its part already.
    ShareHeld,
    /// All are held, or the turn does not come in time.
    Full,
}

/// The line.
#[derive(Debug)]
pub(super) struct HashingLine {
    places: HashingPlaces,
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    hashing: usize,
    /// How many turns there have been.
    turn: u64,
    /// How many have ever waited.
    came: u64,
    waiting: Vec<LineWaiting>,
    accounts: HashMap<[u8; 32], Share>,
    networks: HashMap<Option<IpAddr>, Share>,
}

#[derive(Debug)]
struct LineWaiting {
    number: u64,
    party: Party,
    call: oneshot::Sender<HashingPlace>,
}

/// What an account or a network holds.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    places: usize,
    /// The turn at which it had its last one, or at which it came. Who left and comes again goes
    /// behind those who have waited since.
    last_turn: u64,
}

/// A place to hash at, until it is dropped.
#[derive(Debug)]
pub(super) struct HashingPlace {
    line: Arc<HashingLine>,
    party: Party,
}

impl HashingLine {
    pub(super) fn new(places: HashingPlaces) -> Arc<Self> {
        Arc::new(Self { places, state: Mutex::default() })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// [`NoPlace`], at once or, if others who hold less come meanwhile, later.
    pub(super) async fn place(self: &Arc<Self>, party: &Party) -> Result<HashingPlace, NoPlace> {
        let (number, called) = {
            let mut state = self.state();
            state.make_room(party, self.places)?;
            state.hold(party);
            if state.hashing < self.places.hashing && state.waiting.is_empty() {
                state.begin(party);
                return Ok(HashingPlace { line: self.clone(), party: party.clone() });
            }
            let (call, called) = oneshot::channel();
            let number = state.came;
            state.came += 1;
            state.waiting.push(LineWaiting { number, party: party.clone(), call });
            (number, called)
        };
        // Whoever does not wait any longer, for whatever reason, is not called.
        let _leaving = Leaving { line: self, number };
        match tokio::time::timeout(WAIT_MAX, called).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(NoPlace::ShareHeld),
            Err(_) => Err(NoPlace::Full),
        }
    }

    /// Gives a place back, and calls who is next.
    fn leave(self: &Arc<Self>, party: &Party) {
        let next = {
            let mut state = self.state();
            state.hashing -= 1;
            state.release(party);
            state.next().inspect(|next| state.begin(&next.party))
        };
        if let Some(LineWaiting { party, call, .. }) = next {
            // Not while the state is locked: a place that nobody takes comes back here.
            drop(call.send(HashingPlace { line: self.clone(), party }));
        }
    }

    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineState {
    /// Sees to it that one more place may be held, by sending somebody away who holds more than the
    /// newcomer then will.
    fn make_room(&mut self, party: &Party, places: HashingPlaces) -> Result<(), NoPlace> {
        let held = self.accounts.get(&party.account).map_or(0, |share| share.places);
        if held >= places.of_account {
            return Err(NoPlace::ShareHeld);
        }
        let of_network = self.networks.get(&party.network).map_or(0, |share| share.places);
        if of_network >= places.of_network {
            let neighbour = |other: &Party| other.network == party.network;
            self.displace(held, neighbour).ok_or(NoPlace::ShareHeld)?;
        }
        if self.hashing + self.waiting.len() >= places.all {
            self.displace(held, |_| true).ok_or(NoPlace::Full)?;
        }
        Ok(())
    }

    /// Sends the last one away of the account that holds most, if it will still hold as many as
    /// somebody who holds so many and gets one more.
    fn displace(&mut self, held: usize, is_among: impl Fn(&Party) -> bool) -> Option<()> {
        let holds = |waiting: &LineWaiting| {
            self.accounts.get(&waiting.party.account).map_or(0, |share| share.places)
        };
        let among = self.waiting.iter().enumerate();
        let among = among.filter(|(_, waiting)| is_among(&waiting.party));
        let (at, most) = among
            .max_by_key(|(_, waiting)| (holds(waiting), waiting.number))
            .map(|(at, waiting)| (at, holds(waiting)))?;
        if most <= held + 1 {
            return None;
        }
        let LineWaiting { party, call, .. } = self.waiting.swap_remove(at);
        drop(call);
        self.release(&party);
        Some(())
    }

    fn hold(&mut self, party: &Party) {
        let new = Share { places: 0, last_turn: self.turn };
        self.accounts.entry(party.account).or_insert(new).places += 1;
        self.networks.entry(party.network).or_insert(new).places += 1;
    }

    fn release(&mut self, party: &Party) {
        if let Some(share) = self.accounts.get_mut(&party.account) {
            share.places -= 1;
            if share.places == 0 {
                self.accounts.remove(&party.account);
            }
        }
        if let Some(share) = self.networks.get_mut(&party.network) {
            share.places -= 1;
            if share.places == 0 {
                self.networks.remove(&party.network);
            }
        }
    }

    /// Somebody has their turn.
    fn begin(&mut self, party: &Party) {
        self.hashing += 1;
        self.turn += 1;
        for share in [self.accounts.get_mut(&party.account), self.networks.get_mut(&party.network)]
            .into_iter()
            .flatten()
        {
            share.last_turn = self.turn;
        }
    }

    /// Takes out who is next: of the network that has waited longest for a turn the account that
    /// has, and of that the one who came first.
    fn next(&mut self) -> Option<LineWaiting> {
        let last_turn = |share: Option<&Share>| share.map_or(0, |share| share.last_turn);
        let rank = |waiting: &LineWaiting| {
            let Party { account, network } = &waiting.party;
            let (network, account) = (self.networks.get(network), self.accounts.get(account));
            (last_turn(network), last_turn(account), waiting.number)
        };
        let all = self.waiting.iter().enumerate();
        let (at, _) = all.min_by_key(|(_, waiting)| rank(waiting))?;
        Some(self.waiting.swap_remove(at))
    }
}

impl Drop for HashingPlace {
    fn drop(&mut self) {
        let Self { line, party } = self;
        line.leave(party);
    }
}

/// Somebody who waits, and may give up.
struct Leaving<'l> {
    line: &'l Arc<HashingLine>,
    number: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.line.state();
        if let Some(at) = state.waiting.iter().position(|one| one.number == self.number) {
            let LineWaiting { party, .. } = state.waiting.swap_remove(at);
            state.release(&party);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use crate::password::hashing::line::*;

    const PLACES: HashingPlaces =
        HashingPlaces { hashing: 1, all: 9, of_network: 6, of_account: 4 };

    fn user(name: &str, address: &str) -> Party {
        Party::of_user(name, address.parse().ok())
    }

    /// Somebody who waits, and tells when it was their turn.
    fn wait(
        line: &Arc<HashingLine>,
        party: &Party,
        turns: &Arc<Mutex<Vec<Party>>>,
    ) -> JoinHandle<Result<(), NoPlace>> {
        let (line, party, turns) = (line.clone(), party.clone(), turns.clone());
        tokio::spawn(async move {
            let place = line.place(&party).await?;
            turns.lock().expect("no panic").push(party);
            drop(place);
            Ok(())
        })
    }

    async fn until(line: &HashingLine, waiting: usize) {
        while line.state().waiting.len() != waiting {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn spellings_of_a_name_are_one_account_and_clients_are_others() {
        assert_eq!(user(" Alice", "192.0.2.1"), user("alice", "192.0.2.1"));
        assert_eq!(user("a", "2001:db8::1"), user("a", "2001:db8::2"));
        assert_ne!(user("a", "192.0.2.1"), Party::of_client("a", "192.0.2.1".parse().ok()));
        let client = |address: &str| Party::of_client("a", address.parse().ok()).account;
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(user("a", "192.0.2.1").account, user("a", "192.0.2.2").account);
    }

    #[tokio::test]
    async fn account_holds_its_part_and_no_more() {
        let (line, turns) = (HashingLine::new(PLACES), Arc::default());
        let taken = line.place(&user("bob", "192.0.2.1")).await.expect("the first");
        let places = (1..4).map(|number| user("bob", &format!("192.0.2.{number}")));
        let all: Vec<_> = places.map(|party| wait(&line, &party, &turns)).collect();
        until(&line, 3).await;
        let one_more = line.place(&user("bob", "192.0.2.9")).await;
        assert_eq!(one_more.expect_err("the fifth"), NoPlace::ShareHeld);
        drop(taken);
        for one in all {
            assert_eq!(one.await.expect("it ends"), Ok(()));
        }
        assert!(line.place(&user("bob", "192.0.2.9")).await.is_ok());
        let state = line.state();
        assert!(state.accounts.is_empty() && state.networks.is_empty() && state.hashing == 0);
    }

    #[tokio::test]
    async fn who_holds_many_makes_room_for_who_holds_none() {
        let (line, turns) = (HashingLine::new(PLACES), Arc::default());
        let taken = line.place(&user("bob", "192.0.2.1")).await.expect("the first");
        // All that their network may hold: 4 and 2.
        let bob: Vec<_> = (0..3).map(|_| wait(&line, &user("bob", "192.0.2.1"), &turns)).collect();
        until(&line, 3).await;
        let carol: Vec<_> =
            (0..2).map(|_| wait(&line, &user("carol", "192.0.2.1"), &turns)).collect();
        until(&line, 5).await;
        let alice = wait(&line, &user("alice", "192.0.2.1"), &turns);
        let mut ends = Vec::new();
        while line.state().accounts.len() < 3 {
            tokio::task::yield_now().await;
        }
        drop(taken);
        for one in bob {
            ends.push(one.await.expect("it ends"));
        }
        assert_eq!(ends, [Ok(()), Ok(()), Err(NoPlace::ShareHeld)]);
        for one in carol.into_iter().chain([alice]) {
            assert_eq!(one.await.expect("it ends"), Ok(()));
        }
        // Of those who came in the same turn the first; then who has not had a turn for longest.
        let turns = turns.lock().expect("no panic");
        let names: Vec<_> = turns
            .iter()
            .map(|party| ["alice", "bob", "carol"].map(|name| user(name, "192.0.2.1") == *party))
            .collect();
        let (a, b, c) = ([true, false, false], [false, true, false], [false, false, true]);
        assert_eq!(names, [b, c, a, b, c]);
    }

    #[tokio::test]
    async fn networks_have_their_turns_one_after_the_other() {
        let (line, turns) = (HashingLine::new(PLACES), Arc::default());
        let taken = line.place(&user("zoe", "203.0.113.1")).await.expect("the first");
        let mut all = Vec::new();
        for (name, address) in [
            ("a", "192.0.2.1"),
            ("b", "192.0.2.1"),
            ("c", "192.0.2.1"),
            ("d", "198.51.100.1"),
            ("e", "198.51.100.1"),
        ] {
            all.push(wait(&line, &user(name, address), &turns));
            until(&line, all.len()).await;
        }
        drop(taken);
        for one in all {
            assert_eq!(one.await.expect("it ends"), Ok(()));
        }
        let turns = turns.lock().expect("no panic");
        let last = |party: &Party| match party.network {
            Some(IpAddr::V4(address)) => address.octets()[0],
            Some(IpAddr::V6(_)) | None => 0,
        };
        let networks: Vec<_> = turns.iter().map(last).collect();
        assert_eq!(networks, [192, 198, 192, 198, 192]);
    }

    #[tokio::test]
    async fn full_line_turns_away_who_would_hold_as_much_as_the_others() {
        let (line, turns) = (HashingLine::new(PLACES), Arc::default());
        let _taken = line.place(&user("0", "203.0.113.1")).await.expect("the first");
        for number in 1..9 {
            let address = format!("192.0.2.{number}");
            drop(wait(&line, &user(&number.to_string(), &address), &turns));
            until(&line, number).await;
        }
        let late = line.place(&user("late", "198.51.100.1")).await;
        assert_eq!(late.expect_err("it is full"), NoPlace::Full);
    }

    #[tokio::test]
    async fn who_gives_up_is_not_called_and_holds_nothing() {
        let (line, turns) = (HashingLine::new(PLACES), Arc::default());
        let taken = line.place(&user("bob", "192.0.2.1")).await.expect("the first");
        let one = wait(&line, &user("carol", "192.0.2.1"), &turns);
        until(&line, 1).await;
        one.abort();
        until(&line, 0).await;
        drop(taken);
        let state = line.state();
        assert!(state.accounts.is_empty() && state.networks.is_empty() && state.hashing == 0);
    }
}
