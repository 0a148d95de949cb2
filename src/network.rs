//! Addresses: the network that each counts as, their open connections, and their text.

mod client_network;
mod open_connections;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

pub use client_network::network_of;
pub use open_connections::{OpenConnections, Place};

/// Writes an address. Most are IPv4, for which the standard formatter takes ten times as long.
pub fn push_address(text: &mut String, address: IpAddr) {
    let octets = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            // Writing to a String does not fail.
            let _ = write!(text, "{address}");
            return;
        }
    };
    for (position, octet) in octets.into_iter().enumerate() {
        if position > 0 {
            text.push('.');
        }
        for (unit, from) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= from {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
}

/// Writes an address and a port.
pub fn push_socket_address(text: &mut String, address: SocketAddr) {
    // Writing to a String does not fail.
    let _ = match address {
        SocketAddr::V4(address) => {
            push_address(text, (*address.ip()).into());
            write!(text, ":{}", address.port())
        }
        SocketAddr::V6(address) => write!(text, "{address}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_customer_are_one() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }

    #[test]
    fn addresses_are_written_as_the_standard_formatter_writes_them() {
        for octets in [[0, 0, 0, 0], [127, 0, 0, 1], [10, 20, 100, 255], [9, 99, 109, 200]] {
            let address = IpAddr::from(octets);
            let mut text = String::new();
            push_address(&mut text, address);
            assert_eq!(text, address.to_string());
            let address = SocketAddr::new(address, 8080);
            text.clear();
            push_socket_address(&mut text, address);
            assert_eq!(text, address.to_string());
        }
    }
}
