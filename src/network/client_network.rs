//! The network that an address counts as.

use std::net::{IpAddr, Ipv6Addr};

/// The network that an address counts as where clients are counted: an IPv4 address itself, or the
/// /64 of an IPv6 address, which belongs to one customer.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}
