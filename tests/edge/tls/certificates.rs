//! Certificates and keys: good ones, bad ones, and new ones.

use std::sync::Arc;

use crate::harness::certificates::Authority;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory};
use crate::harness::tls::client::{Http2, Tls, VERSIONS, connect, exchange1, get_once, settings};
use crate::harness::tls::{NAME, TlsGateway, configuration, install};
use crate::harness::upstream::Upstream;

const FIELD: &str = "listeners[0].tls.certificates[0]";

/// A certificate in a form that a client can be shown, by its serial bytes.
fn shown(stream: &Tls) -> Vec<u8> {
    let chain = stream.conn.peer_certificates().expect("a certificate");
    chain[0].to_vec()
}

#[test]
fn certificate_or_key_that_cannot_be_used_is_named_and_never_a_panic() {
    let authority = Authority::new();
    let good = authority.issue(NAME);
    let other = authority.issue(NAME);
    let upstream = Upstream::start();
    let broken_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (why, chain, key, field) in [
        ("the key of another certificate", &*good.chain, &*other.key, ""),
        ("no certificate", "", &*good.key, "certificate_file"),
        ("no key", &good.chain, "", ""),
        ("the two exchanged", &good.key, &good.chain, ""),
        ("a certificate that is text", "hello", &good.key, "certificate_file"),
        ("a key that is text", &good.chain, "hello", ""),
        ("a certificate that is no DER", broken_der, &good.key, ""),
        ("a key that is no DER", &good.chain, broken_key, ""),
        ("an encrypted key", &good.chain, encrypted, ""),
        ("a public key", &good.chain, &crate::harness::tokens::pair().public, ""),
        ("a certificate that breaks off", &good.chain[..good.chain.len() / 2], &good.key, ""),
        ("zeros", "\0\0\0\0", "\0\0\0\0", ""),
    ] {
        let directory = directory();
        std::fs::write(directory.path().join("site.pem"), chain).expect("a file");
        std::fs::write(directory.path().join("site.key"), key).expect("a file");
        let mut gateway = Gateway::spawn_in(directory, &configuration(&upstream));
        assert_eq!(gateway.wait().code(), Some(2), "{why}");
        let told =
            eventually(why, || gateway.errors().into_iter().find(|line| line.contains(" error: ")));
        assert!(told.contains(&format!("{FIELD}.{field}")), "{why}: {told}");
        assert!(told.contains("gateway.yaml:2:"), "{why}: {told}");
        assert!(!gateway.errors().join("\n").contains("panicked"), "{why}");
    }
}

#[test]
fn key_that_cannot_be_used_is_blamed_on_the_key_file() {
    let authority = Authority::new();
    let good = authority.issue(NAME);
    let upstream = Upstream::start();
    for key in ["", "hello", &*good.chain] {
        let directory = directory();
        std::fs::write(directory.path().join("site.pem"), &good.chain).expect("a file");
        std::fs::write(directory.path().join("site.key"), key).expect("a file");
        let mut gateway = Gateway::spawn_in(directory, &configuration(&upstream));
        assert_eq!(gateway.wait().code(), Some(2), "{key}");
        let told = eventually("an error", || {
            gateway.errors().into_iter().find(|line| line.contains(" error: "))
        });
        assert!(told.contains(&format!("{FIELD}.key_file")), "{told}");
    }
}

#[test]
fn missing_certificate_or_key_file_is_named() {
    let upstream = Upstream::start();
    for missing in ["site.pem", "site.key"] {
        let directory = directory();
        install(&directory, &Authority::new().issue(NAME));
        std::fs::remove_file(directory.path().join(missing)).expect("a file");
        let mut gateway = Gateway::spawn_in(directory, &configuration(&upstream));
        assert_eq!(gateway.wait().code(), Some(2), "{missing}");
        eventually(missing, || {
            let told = gateway.errors().join("\n");
            (told.contains(missing) && told.contains(FIELD)).then_some(())
        });
    }
}

#[test]
fn renewed_certificate_is_shown_in_new_handshakes_and_open_connections_go_on() {
    let site = TlsGateway::open();
    let settings = settings(&site.authority, &VERSIONS, &["http/1.1"]);
    let connect = || connect(site.gateway.address(), settings.clone()).expect("a handshake");
    let mut open = connect();
    let old = shown(&open);
    let open2 = Http2::connect(site.gateway.address(), &site.authority);
    assert_eq!(shown(&connect()), old);
    install(&site.gateway.shared_directory(), &site.authority.issue(NAME));
    // Noticed without a signal.
    let mut new = eventually("the new certificate", || {
        let stream = connect();
        (shown(&stream) != old).then_some(stream)
    });
    assert_eq!(exchange1(&mut new, &get_once("/public/new", &[])).status, 200);
    assert_eq!(exchange1(&mut open, &get_once("/public/old", &[])).status, 200);
    assert_eq!(open2.get("/public/old", &[]).status, 200);
}

#[test]
fn half_renewed_certificate_keeps_the_old_one_until_it_is_whole() {
    let site = TlsGateway::open();
    let settings = settings(&site.authority, &VERSIONS, &[]);
    let connect = || connect(site.gateway.address(), settings.clone()).expect("a handshake");
    let old = shown(&connect());
    let new = site.authority.issue(NAME);
    std::fs::write(site.gateway.directory().join("site.pem"), &new.chain).expect("a file");
    eventually("a refusal", || {
        (site.gateway.metric("portcullis_config_reloads_total{result=\"failed\"}") > 0.0)
            .then_some(())
    });
    assert_eq!(shown(&connect()), old);
    std::fs::write(site.gateway.directory().join("site.key"), &new.key).expect("a file");
    eventually("the new certificate", || (shown(&connect()) != old).then_some(()));
}

#[test]
fn listeners_with_and_without_tls_serve_side_by_side() {
    let authority = Authority::new();
    let upstream = Upstream::start();
    let directory = directory();
    install(&directory, &authority.issue(NAME));
    let both = configuration(&upstream).replacen(
        "listeners: [",
        "listeners: [{ address: '127.0.0.2:0' }, ",
        1,
    );
    let gateway = Gateway::start_in(Arc::clone(&directory), &both);
    let [plain, encrypted] = *gateway.addresses() else { panic!("two listeners") };
    let answer =
        crate::harness::client::exchange(plain, crate::harness::client::get("/public/x", &[]));
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.last().values("x-forwarded-proto"), ["http"]);
    let client = Http2::connect(encrypted, &authority);
    assert_eq!(client.get("/public/x", &[]).status, 200);
    assert_eq!(upstream.last().values("x-forwarded-proto"), ["https"]);
}
