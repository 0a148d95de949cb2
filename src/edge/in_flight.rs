//! Requests in flight, counted and bounded: all of them, and those of one client network.
//!
//! Requests to upstreams and requests to the gateway itself are counted apart: when the ones are
//! stuck, people can still log out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use crate::gate::denial::{Denial, Slug};
use crate::network::network_of;
use crate::telemetry::count::Count;
use crate::telemetry::families::Families;

/// Clients are kept apart, so that requests do not wait for one another.
const SHARDS: usize = 64;

/// Both kinds of requests.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// To upstreams.
    pub(super) proxied: Arc<Kind>,
    /// To the gateway itself.
    pub(super) own: Arc<Kind>,
}

/// Requests of one kind.
#[derive(Debug)]
pub(super) struct Kind {
    all: Count,
    all_field: &'static str,
    client_field: &'static str,
    clients: [Mutex<Clients>; SHARDS],
    state: RandomState,
}

/// How many requests of whom. A table keeps its room when a client leaves it: nothing is allocated
/// for one that comes back.
type Clients = HashMap<Client, usize, BuildHasherDefault<Hashed>>;

/// A client network and its hash, which finds the shard, the entry, and the entry again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    hash: u64,
    network: IpAddr,
}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Hands on a hash that was made before.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Whoever hashes anything else gets a poor hash, and no wrong one.
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// How many of a kind there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) of_all: usize,
    pub(super) of_client: usize,
}

/// A request is being served until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    kind: Arc<Kind>,
    client: Option<Client>,
}

impl InFlight {
    /// Nothing is being served yet.
    pub fn new(families: &Families) -> Self {
        let kind = |all: &Count, all_field, client_field| {
            Arc::new(Kind {
                all: all.clone(),
                all_field,
                client_field,
                clients: std::array::from_fn(|_| Mutex::default()),
                state: RandomState::new(),
            })
        };
        Self {
            proxied: kind(&families.in_flight, "limits.in_flight", "limits.in_flight_per_client"),
            own: kind(
                &families.in_flight_own,
                "limits.in_flight_own",
                "a quarter of limits.in_flight_own",
            ),
        }
    }
}

impl Kind {
    /// Counts a request of `client`, if there is room for it.
    ///
    /// # Errors
    ///
    /// [`Slug::Overloaded`], naming the bound.
    pub(super) fn enter(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        most: Most,
    ) -> Result<Counted, Denial> {
        let client = client.map(|client| self.client(client));
        if let Some(client) = client {
            let mut clients = self.shard(client);
            let of_client = clients.entry(client).or_default();
            if *of_client >= most.of_client {
                let Most { of_client, .. } = most;
                let field = self.client_field;
                return Err(overloaded(format!("{of_client} of this client ({field})")));
            }
            *of_client += 1;
        }
        // From here on the guard gives back.
        let counted = Counted { kind: self.clone(), client };
        if self.all.add_one() >= most.of_all {
            return Err(overloaded(format!("{} of all clients ({})", most.of_all, self.all_field)));
        }
        Ok(counted)
    }

    fn client(&self, address: IpAddr) -> Client {
        let network = network_of(address);
        Client { hash: self.state.hash_one(network), network }
    }

    fn shard(&self, client: Client) -> MutexGuard<'_, Clients> {
        // Bits that tables do not look at: they take the lowest and the highest.
        let shard = (client.hash >> 32) % SHARDS as u64;
        self.clients[shard as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.kind.all.take_one();
        let Some(client) = self.client else { return };
        if let Entry::Occupied(mut of_client) = self.kind.shard(client).entry(client) {
            *of_client.get_mut() -= 1;
            if *of_client.get() == 0 {
                of_client.remove();
            }
        }
    }
}

/// The refusal of a request beyond a bound.
pub(super) fn overloaded(bound: String) -> Denial {
    Denial::new(Slug::Overloaded).because(format!("in flight already: {bound}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied() -> Arc<Kind> {
        InFlight::new(&Families::new().expect("families")).proxied
    }

    #[test]
    fn a_client_has_its_share_and_gives_it_back() {
        let kind = proxied();
        let most = Most { of_all: 3, of_client: 2 };
        let client = |text: &str| Some(text.parse().expect("an address"));
        let first = kind.enter(client("2001:db8::1"), most).expect("room");
        let _second = kind.enter(client("2001:db8::2"), most).expect("room");
        let refused = kind.enter(client("2001:db8::3"), most).expect_err("no room");
        assert_eq!(refused.slug(), Slug::Overloaded);
        assert_eq!(
            refused.reason(),
            "in flight already: 2 of this client (limits.in_flight_per_client)"
        );
        let _third = kind.enter(client("192.0.2.1"), most).expect("room for another");
        let refused = kind.enter(client("192.0.2.2"), most).expect_err("no room at all");
        assert_eq!(refused.reason(), "in flight already: 3 of all clients (limits.in_flight)");
        drop(first);
        let _fourth = kind.enter(client("2001:db8::3"), most).expect("room again");
        assert_eq!(kind.all.number(), 3);
    }

    #[test]
    fn nothing_is_kept_of_clients_that_left() {
        let kind = proxied();
        let most = Most { of_all: 1, of_client: 1 };
        let client = Some(IpAddr::from([192, 0, 2, 1]));
        drop(kind.enter(client, most).expect("room"));
        drop(kind.enter(client, most).expect("room again"));
        let counted = kind.enter(client, most).expect("room again");
        drop((kind.enter(Some(IpAddr::from([192, 0, 2, 2])), most), counted));
        assert_eq!(kind.all.number(), 0);
        assert!((0..SHARDS).all(|shard| kind.clients[shard].lock().expect("a shard").is_empty()));
    }
}
