//! One address with another server behind it from some time on, as a Kubernetes Service, a virtual
//! address or a proxy has it: connections that are there stay where they are.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use portcullis::store::settings::RedisAddress;

use super::redis::RedisServer;
use crate::harness::relay::pass_on;

/// Nobody is behind the address.
const NOBODY: u16 = 0;

/// An address, and where new connections to it lead.
pub(crate) struct Switch {
    port: u16,
    target: Arc<AtomicU16>,
}

impl Switch {
    /// An address that leads to this server.
    pub(crate) fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let target = Arc::new(AtomicU16::new(server.port()));
        let current = target.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                match current.load(Ordering::SeqCst) {
                    NOBODY => drop(near),
                    port => pass_on(near, port),
                }
            }
        });
        Self { port, target }
    }

    /// From now on new connections lead to this one.
    pub(crate) fn move_to(&self, server: &RedisServer) {
        self.target.store(server.port(), Ordering::SeqCst);
    }

    /// From now on new connections are closed at once.
    pub(crate) fn refuse(&self) {
        self.target.store(NOBODY, Ordering::SeqCst);
    }

    /// Where it is.
    pub(crate) fn address(&self) -> RedisAddress {
        RedisAddress { host: "127.0.0.1".into(), port: self.port }
    }

    /// The `store` section for it.
    pub(crate) fn lines(&self) -> String {
        format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", self.port)
    }
}

/// What a gateway has a connection for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Commands,
    Log,
    Changes,
}

/// Closes the connections of this kind at the server; how many there were.
pub(crate) fn cut(server: &RedisServer, cut: Link) -> usize {
    let clients = server.cli(&["client", "list", "type", "normal"]);
    let of_kind = clients.lines().filter_map(|line| {
        let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
        let kind = match (field("name=")?, field("flags=")?, field("cmd=")?) {
            ("portcullis", flags, _) if flags.contains('t') => Link::Changes,
            ("portcullis", _, "xread" | "xrange") => Link::Log,
            ("portcullis", ..) => Link::Commands,
            _ => return None,
        };
        (kind == cut).then(|| field("id="))?
    });
    let of_kind: Vec<_> = of_kind.collect();
    let killed = of_kind.iter().map(|id| server.cli(&["client", "kill", "id", id]));
    killed.filter(|answer| answer.trim() == "1").count()
}
