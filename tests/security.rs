//! What a hostile client, an ordinary account that is greedy, or a broken peer may not do: one file for each
//! kind of attack. Each test asserts the last value that is accepted and the first that is refused.

mod accounts;
mod admin;
mod admin_listener;
mod aliases;
mod answer_chunks;
mod answers;
mod chunks;
mod claims;
mod cookies;
mod credentials;
mod cut_off;
mod departures;
mod failures;
mod families;
mod fields;
mod files;
mod hosts;
mod interim;
mod keys;
mod memory;
mod methods;
mod overload;
mod password_hashing;
mod pipelining;
mod queries;
mod refresh_cookie;
mod session_lists;
mod slow_bodies;
mod slow_readers;
mod spoofed_identity;
mod standing_still;
mod store_nonsense;
mod token_confusion;
mod token_endpoint;
mod unknown_credentials;
mod upgrade;

use std::net::SocketAddr;

/// Changes a configuration so that its upstream is at another address.
fn in_front_of(upstream: SocketAddr) -> impl FnOnce(String) -> String {
    move |text| {
        let begin = text.find("peers: ['").expect("a peer") + "peers: ['".len();
        let end = begin + text[begin..].find('\'').expect("its end");
        format!("{}{upstream}{}", &text[..begin], &text[end..])
    }
}
