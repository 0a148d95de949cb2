//! Secrets that are sent in cleartext.

use ipnet::IpNet;

use super::compiler::Compiler;
use super::listeners::CompiledListeners;
use crate::config::Login;
use crate::config::tokens::{ClientAuthentication, Clients};

const REMEDY: &str = "Add `tls`, listen on a loopback address, or name the proxy that ends TLS in \
                      `trusted_proxies`";

impl Compiler<'_> {
    /// Warns of listeners over which passwords or client secrets are sent in cleartext, if no
    /// trusted proxy is configured that could terminate TLS in front of them.
    pub(super) fn warn_of_cleartext(
        &mut self,
        listeners: &CompiledListeners,
        trusted_proxies: &[IpNet],
        login: Option<&Login>,
        clients: Option<&Clients>,
    ) {
        if !trusted_proxies.is_empty() {
            return;
        }
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
        for field in &listeners.clear {
            let fact = format!(
                "{secrets} without encryption: others can reach this listener, and it has no TLS"
            );
            self.warn(field, &fact, REMEDY);
        }
    }
}
