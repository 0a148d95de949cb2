//! TLS towards an upstream: verified, always.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{configuration, peers};
use crate::harness::certificates::{Authority, Certificate};
use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory};

/// An upstream behind TLS.
struct Encrypted {
    address: SocketAddr,
    /// How many requests were read.
    served: Arc<AtomicUsize>,
}

impl Encrypted {
    fn start(certificate: &Certificate) -> Self {
        let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let upstream =
            Self { address: listener.local_addr().expect("an address"), served: Arc::default() };
        let served = upstream.served.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let tls = rustls::ServerConnection::new(config.clone()).expect("a connection");
                let served = served.clone();
                std::thread::spawn(move || serve(rustls::StreamOwned::new(tls, tcp), &served));
            }
        });
        upstream
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// A gateway that trusts this authority, and expects this name.
    fn behind(&self, authority: Option<&Authority>, name: &str) -> Gateway {
        let directory = directory();
        let mut tls = format!("server_name: {name}");
        if let Some(authority) = authority {
            std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("a file");
            tls.push_str(", ca_file: ca.pem");
        }
        let settings = format!("{}, tls: {{ {tls} }}", peers(&[self.address]));
        Gateway::start_in(directory, &configuration(&settings, ""))
    }
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>;

fn serve(mut stream: Tls, served: &AtomicUsize) {
    use std::io::{Read, Write};
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        head.extend_from_slice(&buffer[..bytes]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            served.fetch_add(1, Ordering::SeqCst);
            let name = stream.conn.server_name().unwrap_or("nobody").to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

#[test]
fn upstream_with_the_right_name_and_authority_is_served() {
    let authority = Authority::new();
    let upstream = Encrypted::start(&authority.issue("orders.internal"));
    let gateway = upstream.behind(Some(&authority), "orders.internal");
    for _ in 0..3 {
        let answer = gateway.exchange(get("/public/x", &[]));
        assert_eq!((answer.status, answer.body.as_str()), (200, "orders.internal"));
    }
}

#[test]
fn upstream_that_cannot_prove_who_it_is_is_answered_502_and_told_nothing() {
    let authority = Authority::new();
    let other = Authority::new();
    let year = |year: i32| rcgen::date_time_ymd(year, 1, 1);
    let good = || authority.issue("orders.internal");
    for (why, certificate, trusted, name) in [
        ("another name", authority.issue("billing.internal"), Some(&authority), "orders.internal"),
        (
            "a name that only begins so",
            authority.issue("orders.internal.evil.test"),
            Some(&authority),
            "orders.internal",
        ),
        ("the name of a parent", authority.issue("internal"), Some(&authority), "orders.internal"),
        ("another name is expected", good(), Some(&authority), "other.internal"),
        ("another authority", good(), Some(&other), "orders.internal"),
        ("no authority of the system", good(), None, "orders.internal"),
        (
            "it expired",
            authority.issue_with("orders.internal", |params| {
                params.not_before = year(2000);
                params.not_after = year(2001);
            }),
            Some(&authority),
            "orders.internal",
        ),
        (
            "it is not valid yet",
            authority.issue_with("orders.internal", |params| {
                params.not_before = year(2999);
                params.not_after = year(3000);
            }),
            Some(&authority),
            "orders.internal",
        ),
        (
            "the name stands in the subject only",
            authority.issue_with("orders.internal", |params| params.subject_alt_names.clear()),
            Some(&authority),
            "orders.internal",
        ),
    ] {
        let upstream = Encrypted::start(&certificate);
        let gateway = upstream.behind(trusted, name);
        let answer = gateway.exchange(get("/public/x", &[]));
        assert_eq!(answer.status, 502, "{why}: {answer:?}");
        assert_eq!(answer.slug(), "upstream_unavailable", "{why}");
        assert_eq!(upstream.served(), 0, "{why}");
    }
}

#[test]
fn upstream_that_speaks_no_tls_is_answered_502() {
    let authority = Authority::new();
    let plain = crate::harness::upstream::Upstream::start();
    let stand_in = Encrypted { address: plain.address(), served: Arc::default() };
    let gateway = stand_in.behind(Some(&authority), "orders.internal");
    let answer = gateway.exchange(get("/public/x", &[]));
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    assert!(plain.received().is_empty());
}

#[test]
fn authority_that_is_no_longer_trusted_loses_its_open_connections() {
    let authority = Authority::new();
    let upstream = Encrypted::start(&authority.issue("orders.internal"));
    let gateway = upstream.behind(Some(&authority), "orders.internal");
    assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
    std::fs::write(gateway.directory().join("ca.pem"), Authority::new().pem()).expect("a file");
    gateway.read_again();
    let served = upstream.served();
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    assert_eq!(upstream.served(), served);
}

#[test]
fn broken_authority_file_does_not_load() {
    for (contents, why) in [
        (String::new(), "empty"),
        ("nonsense".to_owned(), "no PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "no DER"),
        (Authority::new().issue("a.test").key, "a key"),
    ] {
        let directory = directory();
        std::fs::write(directory.path().join("ca.pem"), contents).expect("a file");
        let settings = "peers: ['127.0.0.1:1'], tls: { server_name: a.test, ca_file: ca.pem }";
        let mut gateway = Gateway::spawn_in(directory, &configuration(settings, ""));
        assert_eq!(gateway.wait().code(), Some(2), "{why}");
        eventually(why, || {
            let field = "upstreams.behind.tls.ca_file";
            gateway.errors().iter().any(|line| line.contains(field)).then_some(())
        });
        assert!(!gateway.errors().join("\n").contains("panicked"), "{why}");
    }
}

#[test]
fn upstream_tls_without_a_name_to_verify_does_not_load() {
    for tls in ["{}", "{ server_name: '' }", "{ ca_file: issuer.pem }", "{ server_name: 'a b' }"] {
        let settings = format!("peers: ['127.0.0.1:1'], tls: {tls}");
        let mut gateway = Gateway::spawn_in(directory(), &configuration(&settings, ""));
        assert_eq!(gateway.wait().code(), Some(2), "{tls}");
        eventually(tls, || {
            let field = "upstreams.behind.tls.server_name";
            gateway.errors().iter().any(|line| line.contains(field)).then_some(())
        });
    }
}
