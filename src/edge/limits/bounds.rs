//! How much is served at once: what the configuration says, cut to what descriptors allow.

use super::descriptors::Descriptors;
use crate::config::Limits;
use crate::edge::metrics::EdgeMetrics;

/// Client connections, where neither the configuration nor descriptors say less.
const CONNECTIONS_DEFAULT: usize = 65_536;

/// Requests in flight, where neither the configuration nor descriptors say less. One that stalls
/// holds up to some hundred KiB.
const IN_FLIGHT_DEFAULT: usize = 10_000;

/// Connections to upstreams that are kept for the next request, where descriptors do not say less.
const IDLE_MAX: usize = 4096;

/// A share of a bound is at least this much, unless the bound itself is less.
const SHARE_MIN: usize = 32;

/// How many requests one connection may carry; after them it is closed, which frees what a
/// connection accumulates and lets load move.
pub(in crate::edge) const REQUESTS_MAX: u32 = 10_000;

/// The bounds in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Bounds {
    /// Open client connections.
    pub(in crate::edge) connections_max: usize,
    /// Those of one client network.
    pub(in crate::edge) connections_per_address_max: usize,
    /// Requests in flight to upstreams: each needs a connection to one.
    pub(in crate::edge) in_flight_max: usize,
    /// Those of one client network.
    pub(in crate::edge) in_flight_per_client_max: usize,
    /// Those to one upstream that says nothing else.
    pub(in crate::edge) in_flight_per_upstream_max: usize,
    /// Connections to upstreams that wait for a request.
    pub(in crate::edge) idle_max: usize,
    /// Requests in flight to the gateway itself.
    pub(in crate::edge) own_max: usize,
    /// Those of one client network.
    pub(in crate::edge) own_per_client_max: usize,
}

impl Bounds {
    /// What `limits` allow to so many upstreams, as far as descriptors do.
    pub(in crate::edge) fn of(limits: &Limits, upstreams: usize, descriptors: Descriptors) -> Self {
        let shares = descriptors.shares();
        let connections_max =
            limits.connections_max.unwrap_or(CONNECTIONS_DEFAULT).min(shares.connections);
        let per_address = limits.connections_per_address_max;
        let in_flight_max = limits.in_flight_max.unwrap_or(IN_FLIGHT_DEFAULT).min(shares.in_flight);
        let per_client = limits.in_flight_per_client_max;
        Self {
            connections_max,
            connections_per_address_max: per_address.unwrap_or_else(|| share(connections_max, 4)),
            in_flight_max,
            in_flight_per_client_max: per_client.unwrap_or_else(|| share(in_flight_max, 4)),
            // A single upstream shares with no other.
            in_flight_per_upstream_max: share(in_flight_max, upstreams.clamp(1, 2)),
            idle_max: shares.idle.min(IDLE_MAX),
            own_max: limits.in_flight_own_max,
            own_per_client_max: share(limits.in_flight_own_max, 4),
        }
    }

    /// Says what is in force, and warns where that is less than the configuration asks for.
    pub(in crate::edge) fn announce(
        &self,
        limits: &Limits,
        descriptors: Descriptors,
        metrics: &EdgeMetrics,
    ) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.connections_max.set(gauge(self.connections_max));
        metrics.in_flight_max.set(gauge(self.in_flight_max));
        tracing::info!(
            descriptors = descriptors.max(),
            connections = self.connections_max,
            connections_per_address = self.connections_per_address_max,
            in_flight = self.in_flight_max,
            in_flight_per_client = self.in_flight_per_client_max,
            in_flight_own = self.own_max,
            "bounds"
        );
        let cut = [
            ("limits.connections", limits.connections_max, self.connections_max),
            ("limits.in_flight", limits.in_flight_max, self.in_flight_max),
        ];
        for (field, asked, allowed) in cut {
            if let Some(asked) = asked.filter(|asked| *asked > allowed) {
                tracing::warn!(
                    "{field} is {asked}, but the process may have {} descriptors open, which is \
                     enough for {allowed}. {}",
                    descriptors.max(),
                    Descriptors::REMEDY
                );
            }
        }
    }
}

/// One of `parts` of a bound.
fn share(bound: usize, parts: usize) -> usize {
    (bound / parts).max(SHARE_MIN).min(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_more_than_the_whole_and_seldom_less_than_some() {
        assert_eq!(share(10_000, 4), 2_500);
        assert_eq!(share(128, 4), SHARE_MIN);
        assert_eq!(share(127, 4), SHARE_MIN);
        assert_eq!(share(31, 4), 31);
        assert_eq!(share(1, 2), 1);
        assert_eq!(share(1000, 1), 1000);
    }
}
