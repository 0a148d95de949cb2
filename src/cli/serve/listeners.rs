//! Binds the addresses of the request listeners and the admin listener, before anything is served.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::cli::Failure;
use crate::config::Listener;
use crate::edge::listener::{Bound, TlsCell};
use crate::runtime::Running;

/// All bound sockets: a port in use is an error at start.
pub(super) struct Listeners {
    /// The listeners for requests.
    pub(super) requests: Vec<Bound>,
    /// The listener of the admin API.
    pub(super) admin: TcpListener,
}

impl Listeners {
    /// Binds all of them.
    pub(super) fn bind(configuration: &Running) -> Result<Self, Failure> {
        let requests = bind_requests(configuration)?;
        Ok(Self { requests, admin: bind_admin(configuration)? })
    }

    /// The certificates of the request listeners, in their order.
    pub(super) fn certificates(&self) -> Vec<TlsCell> {
        self.requests.iter().map(Bound::tls).collect()
    }
}

fn bind_requests(configuration: &Running) -> Result<Vec<Bound>, Failure> {
    let mut all = Vec::new();
    let listeners = configuration.settings.listeners.iter().zip(&configuration.listener_tls);
    for (index, (Listener { address, tls: _ }, tls)) in listeners.enumerate() {
        let bound = Bound::bind(*address, tls.clone())
            .map_err(|error| taken(*address, &format!("listeners[{index}].address"), &error))?;
        let protocol = if tls.is_some() { "https" } else { "http" };
        tracing::info!("listening on {protocol}://{}", bound.address());
        all.push(bound);
    }
    Ok(all)
}

fn bind_admin(configuration: &Running) -> Result<TcpListener, Failure> {
    let address = configuration.settings.admin.address;
    let listener =
        TcpListener::bind(address).map_err(|error| taken(address, "admin.address", &error))?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    tracing::info!("admin on http://{address}");
    Ok(listener)
}

/// An address of the configuration that cannot be had.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's")]
fn taken(address: SocketAddr, field: &str, error: &std::io::Error) -> Failure {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "another process has it: stop that one, or change the field",
        ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        ErrorKind::PermissionDenied => "ports below 1024 need the capability CAP_NET_BIND_SERVICE",
        _ => "correct the field",
    };
    Failure::Failed(format!("cannot listen on {address}: {error} ({field}: {remedy})"))
}
