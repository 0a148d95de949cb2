//! `listeners` → where clients connect.

use std::net::SocketAddr;

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::config::tls::Unusable;
use crate::config::{Listener, TlsCertificate, raw};

/// The listeners, and what other sections need to know of them.
#[derive(Default)]
pub(super) struct CompiledListeners {
    pub(super) list: Vec<Listener>,
    /// The addresses in use, including those of listeners that could not be compiled.
    pub(super) taken: Vec<SocketAddr>,
    /// Those that other machines can reach without TLS.
    pub(super) clear: Vec<FieldPath>,
}

impl Compiler<'_> {
    pub(super) fn listeners(&mut self, raw: Vec<raw::Listener>) -> CompiledListeners {
        let field = FieldPath::default().key("listeners");
        if raw.is_empty() {
            let remedy = "Add `- address: 127.0.0.1:8080`";
            self.empty::<()>(&field, "there is no listener", remedy);
        }
        let mut compiled = CompiledListeners::default();
        for (index, raw::Listener { address, tls }) in raw.into_iter().enumerate() {
            let field = field.index(index);
            let address = self.address(address, &field.key("address"));
            let secured = tls.map(|tls| self.listener_tls(tls, &field.key("tls")));
            let (Some(address), secured) = (address, secured) else { continue };
            self.refuse_taken(address, &compiled.taken, &field.key("address"));
            compiled.taken.push(address);
            // A listener with invalid TLS must not end up without TLS: the error was reported.
            let Some(tls) = secured.map_or(Some(None), |tls| tls.map(Some)) else { continue };
            let listener = Listener { address, tls };
            if is_clear(&listener) {
                compiled.clear.push(field);
            }
            compiled.list.push(listener);
        }
        compiled
    }

    /// Port 0 never conflicts: the system chooses another port each time.
    pub(super) fn refuse_taken(
        &mut self,
        address: SocketAddr,
        taken: &[SocketAddr],
        field: &FieldPath,
    ) {
        if address.port() != 0 && taken.contains(&address) {
            let fact = format!("there already is a listener on {address}");
            self.error::<()>(field, &fact, "Choose another port");
        }
    }

    fn listener_tls(&mut self, raw: raw::ListenerTls, field: &FieldPath) -> Option<TlsCertificate> {
        let field = field.key("certificates");
        let mut certificates = raw.certificates.into_iter();
        let remedy = "Write `- { certificate_file: site.pem, key_file: site.key }`";
        let Some(first) = certificates.next() else {
            return self.empty(&field, "the field is missing", remedy);
        };
        if certificates.next().is_some() {
            let fact = "more than one certificate is not supported yet";
            self.error::<()>(&field.index(1), fact, "Keep one; it may name several hosts");
        }
        let field = field.index(0);
        let raw::Certificate { certificate_file, key_file } = first;
        let chain_field = field.key("certificate_file");
        let key_field = field.key("key_file");
        let chain_file = self.required(certificate_file, &chain_field, "Name a PEM file");
        let key_file = self.required(key_file, &key_field, "Name a PEM file");
        let chain = chain_file.and_then(|file| self.read(&file, &chain_field));
        let key = key_file.and_then(|file| self.read(&file, &key_field));
        match TlsCertificate::from_pem(&chain?, &key?) {
            Ok(certificate) => Some(certificate),
            Err(Unusable::Chain(fact)) => {
                self.error(&chain_field, &fact, "Name a certificate chain and its key")
            }
            Err(Unusable::Key(fact)) => {
                self.error(&key_field, &fact, "Name the private key of the certificate, in PEM")
            }
        }
    }

    pub(super) fn address(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
    ) -> Option<SocketAddr> {
        let text = self.required(text, field, "Write an address, such as 127.0.0.1:8080")?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => self.error(
                field,
                &format!("`{text}` is not an IP address with a port"),
                "Write an address, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
            ),
        }
    }
}

/// Whether requests to a listener can be read on the network.
fn is_clear(listener: &Listener) -> bool {
    listener.tls.is_none() && !listener.address.ip().to_canonical().is_loopback()
}
