//! Requests in flight, counted and bounded: all of them, and those of one client network.
//!
//! Requests to upstreams and requests to the gateway itself are counted apart: when the ones are
//! stuck, people can still log out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use crate::edge::metrics::EdgeMetrics;
use crate::gate::denial::{Denial, Slug};
use crate::network::network_of;
use crate::telemetry::count::Count;

/// Clients are kept apart, so that requests do not wait for one another, and that few are looked
/// through for one.
const SHARDS: usize = 1024;

/// Both kinds of requests.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// To upstreams.
    pub(in crate::edge) proxied: Arc<RequestKind>,
    /// To the gateway itself.
    pub(in crate::edge) own: Arc<RequestKind>,
}

/// Requests of one kind.
#[derive(Debug)]
pub(in crate::edge) struct RequestKind {
    all: Count,
    /// By the hash of their networks. A shard keeps its room when a client leaves it: nothing is
    /// allocated for one that comes back.
    clients: Box<[Mutex<Vec<OfClient>>]>,
    state: RandomState,
}

/// The requests of one client network; one at least.
#[derive(Debug)]
struct OfClient {
    network: IpAddr,
    count: usize,
}

/// Where a client network is counted.
#[derive(Clone, Copy, Debug)]
struct ClientCount {
    network: IpAddr,
    shard: usize,
}

/// How many of a kind there may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Most {
    pub(in crate::edge) of_all: InFlightBound,
    pub(in crate::edge) of_client: InFlightBound,
}

/// A number of requests, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct InFlightBound {
    pub(in crate::edge) max: usize,
    pub(in crate::edge) source: &'static str,
}

/// A request is being served until this is dropped.
#[derive(Debug)]
pub(in crate::edge) struct InFlightGuard {
    kind: Arc<RequestKind>,
    client: Option<ClientCount>,
}

impl InFlight {
    /// Nothing is being served yet.
    pub fn new(metrics: &EdgeMetrics) -> Self {
        let kind = |all: &Count| {
            Arc::new(RequestKind {
                all: all.clone(),
                clients: (0..SHARDS).map(|_| Mutex::default()).collect(),
                state: RandomState::new(),
            })
        };
        Self { proxied: kind(&metrics.in_flight), own: kind(&metrics.in_flight_own) }
    }
}

impl RequestKind {
    /// Counts a request of `client`, if there is room for it.
    ///
    /// # Errors
    ///
    /// [`Slug::Overloaded`], naming the bound.
    pub(in crate::edge) fn enter(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        most: Most,
    ) -> Result<InFlightGuard, Denial> {
        let client = client.map(|client| self.client(client));
        if let Some(client) = client {
            let mut clients = self.shard(client);
            match clients.iter_mut().find(|of_client| of_client.network == client.network) {
                None => clients.push(OfClient { network: client.network, count: 1 }),
                Some(of_client) if of_client.count >= most.of_client.max => {
                    let (count, source) = (of_client.count, most.of_client.source);
                    return Err(overloaded(format!("{count} of this client ({source})")));
                }
                Some(of_client) => of_client.count += 1,
            }
        }
        // From here on the guard gives back.
        let counted = InFlightGuard { kind: self.clone(), client };
        let InFlightBound { max, source } = most.of_all;
        if self.all.add_one() >= max {
            return Err(overloaded(format!("{max} of all clients ({source})")));
        }
        Ok(counted)
    }

    fn client(&self, address: IpAddr) -> ClientCount {
        let network = network_of(address);
        let shard = self.state.hash_one(network) % SHARDS as u64;
        ClientCount { network, shard: shard as usize }
    }

    fn shard(&self, client: ClientCount) -> MutexGuard<'_, Vec<OfClient>> {
        self.clients[client.shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.kind.all.take_one();
        let Some(client) = self.client else { return };
        let mut clients = self.kind.shard(client);
        let found = clients.iter().position(|of_client| of_client.network == client.network);
        let Some(place) = found else { return };
        clients[place].count -= 1;
        if clients[place].count == 0 {
            clients.swap_remove(place);
        }
    }
}

/// The refusal of a request beyond a bound.
pub(in crate::edge) fn overloaded(bound: String) -> Denial {
    Denial::new(Slug::Overloaded).because(format!("in flight already: {bound}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::registry::MetricRegistry;

    fn proxied() -> Arc<RequestKind> {
        InFlight::new(&EdgeMetrics::register(&mut MetricRegistry::default()).expect("registered"))
            .proxied
    }

    fn most(of_all: usize, of_client: usize) -> Most {
        Most {
            of_all: InFlightBound { max: of_all, source: "limits.in_flight" },
            of_client: InFlightBound { max: of_client, source: "limits.in_flight_per_client" },
        }
    }

    #[test]
    fn a_client_has_its_share_and_gives_it_back() {
        let kind = proxied();
        let most = most(3, 2);
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
        let most = most(1, 1);
        let client = Some(IpAddr::from([192, 0, 2, 1]));
        drop(kind.enter(client, most).expect("room"));
        drop(kind.enter(client, most).expect("room again"));
        let counted = kind.enter(client, most).expect("room again");
        drop((kind.enter(Some(IpAddr::from([192, 0, 2, 2])), most), counted));
        assert_eq!(kind.all.number(), 0);
        assert!(kind.clients.iter().all(|shard| shard.lock().expect("a shard").is_empty()));
    }

    #[test]
    fn each_of_more_clients_than_shards_has_its_own_count() {
        let kind = proxied();
        let clients = 4 * SHARDS as u32;
        let most = most(usize::MAX, 2);
        let client = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        let enter = |number| kind.enter(client(number), most);
        let twice =
            (0..clients).map(|number| [enter(number), enter(number)].map(|one| one.expect("room")));
        let mut held: Vec<_> = twice.collect();
        assert!((0..clients).all(|number| enter(number).is_err()));
        // Every third leaves; its neighbours in the shard stay counted.
        let mut number = 0;
        held.retain(|_| {
            number += 1;
            number % 3 != 0
        });
        assert!((0..clients).all(|number| enter(number).is_ok() == (number % 3 == 2)));
        assert_eq!(kind.all.number(), 2 * held.len());
        drop(held);
        assert_eq!(kind.all.number(), 0);
        assert!(kind.clients.iter().all(|shard| shard.lock().expect("a shard").is_empty()));
    }
}
