//! Counts open connections, in total and by client network, and limits both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::client_network::network_of;

/// The connections that are open.
#[derive(Debug, Default)]
pub struct OpenConnections(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place among the open connections, given back when dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<OpenConnections>,
    network: Option<IpAddr>,
}

impl OpenConnections {
    /// Counts a connection of `client`, unless there are already `total_max` in total or
    /// `network_max` from its network. Without `network_max` it does not count towards its network.
    pub fn admit(
        self: &Arc<Self>,
        client: IpAddr,
        total_max: usize,
        network_max: Option<usize>,
    ) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= total_max {
            return None;
        }
        let network = network_max.map(|_| network_of(client));
        if let (Some(network), Some(max)) = (network, network_max) {
            let of_network = counts.by_network.entry(network).or_default();
            if *of_network >= max {
                return None;
            }
            *of_network += 1;
        }
        counts.total += 1;
        Some(Place { connections: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        let Some(network) = self.network else { return };
        if let Entry::Occupied(mut of_network) = counts.by_network.entry(network) {
            *of_network.get_mut() -= 1;
            if *of_network.get() == 0 {
                of_network.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_up_to_each_bound_and_given_back() {
        let connections = Arc::new(OpenConnections::default());
        let admit = |client: &str, network_max| {
            connections.admit(client.parse().expect("an address"), 4, network_max)
        };
        let first = admit("2001:db8::1", Some(2)).expect("a place");
        // It does not count towards its network.
        let unbounded = admit("2001:db8::2", None).expect("a place");
        let _second = admit("2001:db8::3", Some(2)).expect("a place");
        assert!(admit("2001:db8::4", Some(2)).is_none(), "a third of one network");
        let _third = admit("2001:db8::4", None).expect("a place");
        for network_max in [None, Some(2)] {
            assert!(admit("192.0.2.1", network_max).is_none(), "a fifth in all");
        }
        drop(unbounded);
        assert!(admit("2001:db8::4", Some(2)).is_none(), "its network has as many as before");
        drop(first);
        let _fourth = admit("2001:db8::4", Some(2)).expect("a place that was given back");
    }

    #[test]
    fn nothing_is_kept_of_networks_that_left() {
        let connections = Arc::new(OpenConnections::default());
        let admit = |last, network_max| {
            connections.admit(IpAddr::from([192, 0, 2, last]), 2, Some(network_max))
        };
        let (one, other) = (admit(1, 1).expect("a place"), admit(2, 1).expect("a place"));
        assert!(admit(1, 1).is_none() && admit(3, 1).is_none());
        drop((one, other));
        let counts = connections.0.lock().expect("the counts");
        assert_eq!((counts.total, counts.by_network.len()), (0, 0));
    }
}
