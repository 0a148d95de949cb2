//! Counts open connections, in all and by client network, and bounds both.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::network_of;

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
    network: IpAddr,
}

impl OpenConnections {
    /// Counts a connection of `client`, unless there are `total_max` in all or `network_max` of its
    /// network already. A network without a bound is counted all the same.
    pub fn admit(
        self: &Arc<Self>,
        client: IpAddr,
        total_max: usize,
        network_max: Option<usize>,
    ) -> Option<Place> {
        let network = network_of(client);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_network = counts.by_network.get(&network).copied().unwrap_or(0);
        let is_full = counts.total >= total_max || network_max.is_some_and(|max| of_network >= max);
        if is_full {
            return None;
        }
        counts.total += 1;
        *counts.by_network.entry(network).or_default() += 1;
        Some(Place { connections: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&self.network);
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
            connections.admit(client.parse().expect("an address"), 3, network_max)
        };
        let first = admit("2001:db8::1", Some(2)).expect("a place");
        let _second = admit("2001:db8::2", Some(2)).expect("a place");
        assert!(admit("2001:db8::3", Some(2)).is_none(), "a third of one network");
        let _third = admit("2001:db8::3", None).expect("a place without a bound on the network");
        assert!(admit("192.0.2.1", None).is_none(), "a fourth in all");
        drop(first);
        let _other = admit("192.0.2.1", Some(1)).expect("a place that was given back");
    }

    #[test]
    fn nothing_is_kept_of_networks_that_left() {
        let connections = Arc::new(OpenConnections::default());
        drop(connections.admit(IpAddr::from([192, 0, 2, 1]), 1, Some(1)).expect("a place"));
        let counts = connections.0.lock().expect("the counts");
        assert_eq!((counts.total, counts.by_network.len()), (0, 0));
    }
}
