//! Queues the parties that wait to hash. Turns rotate between networks and, within one, between
//! accounts. Each may hold only a share of the places, and a party that holds many makes room for
//! one that holds few.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::sync::oneshot;

use crate::network::network_of;

/// How long a party waits for its turn at most.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The account and network for which a hash is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    /// A digest: names are of any length.
    account: [u8; 32],
    /// `None` for parties without an address, which count as one network.
    network: Option<IpAddr>,
}

impl Party {
    /// The account of users who log in by this name, in any of its spellings.
    pub(crate) fn of_user(name: &str, client: Option<IpAddr>) -> Self {
        let account = account(&["user", &name.trim().to_lowercase()]);
        Self { account, network: client.map(network_of) }
    }

    /// A client with this id, as seen from one network. Ids are not secret: others who name it must
    /// not keep the client waiting.
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

/// The queue.
#[derive(Debug)]
pub(super) struct HashingQueue {
    places: HashingPlaces,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    hashing: usize,
    /// How many turns there have been.
    turn: u64,
    /// How many have ever waited.
    came: u64,
    waiting: Vec<QueuedParty>,
    accounts: HashMap<[u8; 32], Share>,
    networks: HashMap<Option<IpAddr>, Share>,
}

#[derive(Debug)]
struct QueuedParty {
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
    queue: Arc<HashingQueue>,
    party: Party,
}

impl HashingQueue {
    /// An empty queue with so many places.
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
                return Ok(HashingPlace { queue: self.clone(), party: party.clone() });
            }
            let (call, called) = oneshot::channel();
            let number = state.came;
            state.came += 1;
            state.waiting.push(QueuedParty { number, party: party.clone(), call });
            (number, called)
        };
        // A party that no longer waits, for whatever reason, gets no turn.
        let _entry = QueueEntry { queue: self, number };
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
        if let Some(QueuedParty { party, call, .. }) = next {
            // The state must not be locked here: a place that is not taken comes back to this
            // function.
            drop(call.send(HashingPlace { queue: self.clone(), party }));
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    /// Makes room for one more place. If there is none, a waiting party that holds more than the
    /// newcomer then will loses its place.
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

    /// Removes the last waiting party of the account that holds most, if that account then still
    /// holds at least `held + 1` places, as many as the newcomer.
    fn displace(&mut self, held: usize, is_among: impl Fn(&Party) -> bool) -> Option<()> {
        let holds = |waiting: &QueuedParty| {
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
        let QueuedParty { party, call, .. } = self.waiting.swap_remove(at);
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

    /// A party gets its turn.
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
    fn next(&mut self) -> Option<QueuedParty> {
        let last_turn = |share: Option<&Share>| share.map_or(0, |share| share.last_turn);
        let rank = |waiting: &QueuedParty| {
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
        let Self { queue, party } = self;
        queue.leave(party);
    }
}

/// Takes a party out of the queue that does not wait any longer.
struct QueueEntry<'l> {
    queue: &'l Arc<HashingQueue>,
    number: u64,
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        if let Some(at) = state.waiting.iter().position(|one| one.number == self.number) {
            let QueuedParty { party, .. } = state.waiting.swap_remove(at);
            state.release(&party);
        }
    }
}

#[cfg(test)]
mod tests;
