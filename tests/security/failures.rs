//! What the log says of an upstream that did not answer.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};

use super::in_front_of;
use crate::harness::certificates::Authority;
use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::upstream::{Behaviour, Upstream, refusing_address};

/// An upstream that resets each connection once a request is on it: closing with bytes unread does.
fn resetting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.peek(&mut [0]);
        }
    });
    address
}

/// An upstream behind TLS that shows this certificate, and says nothing else.
fn encrypted(
    authority: &Authority,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> SocketAddr {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = authority.issue_with("orders.internal", change);
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let config = std::sync::Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            let mut tls = rustls::ServerConnection::new(config.clone()).expect("a connection");
            // It fails where the other side does not like the certificate.
            while tls.is_handshaking() && tls.complete_io(&mut tcp).is_ok() {}
            let _ = tcp.flush();
        }
    });
    address
}

/// A request fails with this slug, and access log and log say why.
#[track_caller]
fn assert_told(gateway: &Gateway, slug: &str, why: &str) {
    let answer = gateway.exchange(get("/public/a?b=c", &[]));
    assert_eq!(answer.slug(), slug, "{why}: {answer:?}");
    assert!(!answer.body.contains(why), "the client is told: {}", answer.body);
    let line = gateway.logged(|line| line["slug"] == slug);
    let reason = line["reason"].as_str().unwrap_or_else(|| panic!("no reason: {line}"));
    assert!(reason.contains(why), "{reason:?} does not say {why:?}");
    let id = line["request_id"].as_str().expect("an id").to_owned();
    let told = eventually("a line of the log", || {
        gateway.errors().into_iter().find(|line| line.contains(&id) && line.contains("INFO"))
    });
    assert!(told.contains(why) && told.contains("behind"), "{told}");
}

#[test]
fn log_tells_a_refused_connection() {
    let gateway = Gateway::start(&in_front_of(refusing_address())(standard(&Upstream::start())));
    assert_told(&gateway, "upstream_unavailable", "connection refused");
}

#[test]
fn log_tells_a_name_that_has_no_address() {
    let text = standard(&Upstream::start());
    let peer = text.split("peers: ['").nth(1).and_then(|rest| rest.split('\'').next());
    let text = text.replace(peer.expect("a peer"), "nowhere.invalid:80");
    let gateway = Gateway::start(&text);
    assert_told(&gateway, "upstream_unavailable", "no address");
}

#[test]
fn log_tells_a_reset_and_a_connection_that_was_closed() {
    let gateway = Gateway::start(&in_front_of(resetting())(standard(&Upstream::start())));
    assert_told(&gateway, "upstream_unavailable", "reset");
    let upstream = Upstream::start_with(Behaviour::HangUp);
    assert_told(&Gateway::standard(&upstream), "upstream_unavailable", "closed");
}

#[test]
fn log_tells_an_answer_that_is_none_and_repeats_nothing_of_it() {
    let upstream = Upstream::start();
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\nX secret\r\n\r\n", "head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n", "Content-Length"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: secret\r\n\r\n", "101"),
    ] {
        let gateway = Gateway::standard(&upstream);
        upstream.behave(Behaviour::Bytes(answer.to_owned()));
        assert_told(&gateway, "upstream_unavailable", why);
        let written = gateway.errors().join("\n");
        assert!(!written.contains("secret"), "{written}");
        assert!(gateway.log().iter().all(|line| !line.to_string().contains("secret")));
    }
}

#[test]
fn log_tells_an_upstream_that_is_slow() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let timeouts = "peers: ['".to_owned();
    let text = standard(&upstream).replace(&timeouts, "timeouts: { read: 100ms }, peers: ['");
    assert_told(&Gateway::start(&text), "upstream_timeout", "read");
}

#[test]
fn log_tells_what_was_wrong_with_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let year = |year: i32| rcgen::date_time_ymd(year, 1, 1);
    let expired = |params: &mut rcgen::CertificateParams| {
        (params.not_before, params.not_after) = (year(2000), year(2001));
    };
    for (address, trusted, name, why) in [
        (encrypted(&authority, |_| {}), Some(&authority), "billing.internal", "not valid for name"),
        // An authority of the same name, with another key.
        (encrypted(&authority, |_| {}), Some(&other), "orders.internal", "BadSignature"),
        (encrypted(&authority, |_| {}), None, "orders.internal", "UnknownIssuer"),
        (encrypted(&authority, expired), Some(&authority), "orders.internal", "expired"),
    ] {
        let directory = directory();
        let mut tls = format!("tls: {{ server_name: {name}");
        if let Some(trusted) = trusted {
            std::fs::write(directory.path().join("ca.pem"), trusted.pem()).expect("a file");
            tls.push_str(", ca_file: ca.pem");
        }
        tls.push_str(" }, peers: ['");
        let text = in_front_of(address)(standard(&Upstream::start())).replace("peers: ['", &tls);
        assert_told(&Gateway::start_in(directory, &text), "upstream_unavailable", why);
    }
}
