//! How many files and sockets the process may have open (`RLIMIT_NOFILE`), and what they are for.
//!
//! A process without free descriptors can accept no connection and reach nothing, the probes and the
//! store included. So clients and upstreams get shares that together leave some for everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many descriptors the process may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    max: usize,
}

/// What of them is for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Shares {
    /// Connections of clients.
    pub(in crate::edge) connections: usize,
    /// Requests in flight: connections to upstreams that are in use.
    pub(in crate::edge) in_flight: usize,
    /// Connections to upstreams that wait for the next request.
    pub(in crate::edge) idle: usize,
}

/// Below this a gateway is warned of: it is what systems give to programs that ask for nothing.
const FEW: usize = 4096;

/// What the admin listener, the store, logs and key fetches get: an eighth, within these bounds.
const RESERVE_MIN: usize = 64;
const RESERVE_MAX: usize = 1024;

/// How many of these the admin listener may use: half, and no more than so many.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// How many of these logins that wait for an identity service may use: a quarter, and no more than so
/// many.
const HAND_OFFS_MAX: usize = 256;

impl Descriptors {
    /// What to do where there are too few.
    pub(in crate::edge) const REMEDY: &str =
        "Raise the hard limit: LimitNOFILE= in systemd, --ulimit nofile= of a container, ulimit -n";

    /// Raises the soft limit to the hard one.
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let in_force = if raised.is_ok() { maximum } else { current };
        // `None` is no limit at all.
        let max = in_force.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let descriptors = Self { max };
        if max < FEW {
            let Shares { connections, in_flight, idle: _ } = descriptors.shares();
            tracing::warn!(
                "the process may have only {max} descriptors open: enough for {connections} \
                 connections and {in_flight} requests in flight. {}",
                Self::REMEDY
            );
        }
        descriptors
    }

    /// How many there are.
    pub fn max(self) -> usize {
        self.max
    }

    /// How many connections the admin listener may have.
    pub fn admin_connections(self) -> usize {
        (self.reserve() / 2).min(ADMIN_CONNECTIONS_MAX)
    }

    /// How many logins may wait for an identity service, each with a connection to it.
    pub fn hand_offs(self) -> usize {
        (self.reserve() / 4).min(HAND_OFFS_MAX)
    }

    fn reserve(self) -> usize {
        (self.max / 8).clamp(RESERVE_MIN, RESERVE_MAX)
    }

    /// An eighth is kept back; half of the rest is for clients, half for upstreams.
    pub(in crate::edge) fn shares(self) -> Shares {
        let rest = self.max.saturating_sub(self.reserve());
        let idle = rest / 8;
        Shares {
            connections: (rest / 2).max(1),
            in_flight: (rest / 2 - idle).max(1),
            idle: idle.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_a_reserve() {
        for max in [256, 1024, 4096, 65_536, 1 << 20] {
            let Shares { connections, in_flight, idle } = Descriptors { max }.shares();
            let left = max - connections - in_flight - idle;
            assert!(left >= RESERVE_MIN.min(max / 8) && left <= RESERVE_MAX + 8, "{max}: {left}");
        }
        let few = Descriptors { max: 1024 }.shares();
        assert_eq!(few, Shares { connections: 448, in_flight: 336, idle: 112 });
    }

    #[test]
    fn admin_listener_leaves_half_of_the_reserve() {
        let admin = |max| Descriptors { max }.admin_connections();
        assert_eq!([10, 512, 768, 1024, 1 << 20].map(admin), [32, 32, 48, 64, 64]);
        let hand_offs = |max| Descriptors { max }.hand_offs();
        assert_eq!([10, 512, 768, 1024, 1 << 20].map(hand_offs), [16, 16, 24, 32, 256]);
    }

    #[test]
    fn somebody_is_served_with_next_to_none() {
        let none = Descriptors { max: 10 }.shares();
        assert_eq!(none, Shares { connections: 1, in_flight: 1, idle: 1 });
    }
}
