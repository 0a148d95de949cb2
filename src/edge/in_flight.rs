//! Requests in flight, counted and bounded: all of them, and those of one client network.
//!
//! Requests to upstreams and requests to the gateway itself are counted apart: when the ones are
//! stuck, people can still log out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use prometheus::IntGauge;

use crate::gate::denial::{Denial, Slug};
use crate::network::network_of;
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
    all: IntGauge,
    all_field: &'static str,
    client_field: &'static str,
    clients: [Mutex<HashMap<IpAddr, usize, RandomState>>; SHARDS],
    state: RandomState,
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
    network: Option<IpAddr>,
}

impl InFlight {
    /// Nothing is being served yet.
    pub fn new(families: &Families) -> Self {
        let kind = |all: &IntGauge, all_field, client_field| {
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
        let network = client.map(network_of);
        if let Some(network) = network {
            let mut clients = self.shard(network);
            let of_client = clients.entry(network).or_default();
            if *of_client >= most.of_client {
                let Most { of_client, .. } = most;
                let field = self.client_field;
                return Err(overloaded(format!("{of_client} of this client ({field})")));
            }
            *of_client += 1;
        }
        // From here on the guard gives back.
        let counted = Counted { kind: self.clone(), network };
        self.all.inc();
        if usize::try_from(self.all.get()).is_ok_and(|all| all > most.of_all) {
            return Err(overloaded(format!("{} of all clients ({})", most.of_all, self.all_field)));
        }
        Ok(counted)
    }

    fn shard(&self, network: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize, RandomState>> {
        let shard = self.state.hash_one(network) % SHARDS as u64;
        self.clients[shard as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.kind.all.dec();
        let Some(network) = self.network else { return };
        let mut clients = self.kind.shard(network);
        if let Some(count) = clients.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&network);
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
        assert_eq!(kind.all.get(), 3);
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
        assert_eq!(kind.all.get(), 0);
        assert!((0..SHARDS).all(|shard| kind.clients[shard].lock().expect("a shard").is_empty()));
    }
}
