//! Secrets that travel in the clear.

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::config::tokens::{ClientAuthentication, Clients};
use crate::config::{Listener, Login};

const REMEDY: &str = "Add `tls`, listen on a loopback address, or name the proxy that ends TLS in \
                      `trusted_proxies`";

impl Compiler<'_> {
    /// Warns of listeners over which passwords or the secrets of clients travel in the clear, where
    /// no proxy is named that could end TLS before.
    pub(super) fn warn_of_cleartext(
        &mut self,
        clear: &[FieldPath],
        login: Option<&Login>,
        clients: Option<&Clients>,
    ) {
        let has_secret = |clients: &Clients| {
            let mut clients = clients.0.values();
            clients.any(|one| matches!(one.authentication, ClientAuthentication::Secret(_)))
        };
        let secrets = match (login.is_some(), clients.is_some_and(has_secret)) {
            (true, true) => "passwords, session cookies and the secrets of clients travel",
            (true, false) => "passwords and session cookies travel",
            (false, true) => "the secrets of clients travel",
            (false, false) => return,
        };
        for field in clear {
            let fact = format!("{secrets} in the clear: others can reach it, and it speaks no TLS");
            self.warn(field, &fact, REMEDY);
        }
    }
}

/// Whether what a listener is sent can be read on the way.
pub(super) fn is_clear(listener: &Listener) -> bool {
    listener.tls.is_none() && !listener.address.ip().to_canonical().is_loopback()
}
