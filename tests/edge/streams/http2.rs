//! On an HTTP/2 connection, which may carry requests of several people, only the stream ends.

use std::sync::Arc;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use portcullis::clock;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{
    PausedUpstream, assert_in_time, configuration, ended, long_lived, revoke, short_lived,
};
use crate::harness::PATIENCE;
use crate::harness::certificates::Authority;
use crate::harness::gateway::{self, Gateway};
use crate::harness::tokens::{bearer, token};

const NAME: &str = "gateway.test";

/// A gateway behind TLS, and one connection to it.
struct Site {
    paused: PausedUpstream,
    gateway: Gateway,
    runtime: Runtime,
    sender: h2::client::SendRequest<Bytes>,
}

impl Site {
    fn open() -> Self {
        let paused = PausedUpstream::default();
        let authority = Authority::new();
        let certificate = authority.issue(NAME);
        let directory = gateway::directory();
        std::fs::write(directory.path().join("site.pem"), &certificate.chain).expect("a file");
        std::fs::write(directory.path().join("site.key"), &certificate.key).expect("a file");
        let tls = "tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }";
        let secured = format!("listeners: [{{ address: '127.0.0.1:0', {tls} }}]");
        let text = configuration(paused.open())
            .replace("listeners: [{ address: '127.0.0.1:0' }]", &secured);
        let gateway = Gateway::start_in(directory, &text);
        let runtime = Runtime::new().expect("a runtime");
        let sender = runtime.block_on(connect(&gateway, &authority));
        Self { paused, gateway, runtime, sender }
    }

    /// Opens a stream; `ends`: the request has no body.
    fn start(&self, path: &str, credential: &str, ends: bool) -> Stream {
        let request = Request::builder()
            .method(if ends { "GET" } else { "POST" })
            .version(http::Version::HTTP_2)
            .uri(format!("https://{NAME}{path}"))
            .header("authorization", credential)
            .body(())
            .expect("a request");
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let mut sender = sender.ready().await.expect("the connection is open");
            let (answer, sends) = sender.send_request(request, ends).expect("a stream");
            Stream { answer, sends }
        })
    }

    /// The answer's head, then its body.
    fn answered(&self, stream: Stream) -> (SendStream<Bytes>, RecvStream) {
        let Stream { answer, sends } = stream;
        let answer = self.wait(answer).expect("an answer");
        assert_eq!(answer.status(), 200);
        (sends, answer.into_body())
    }

    /// The next piece of a body.
    fn piece(&self, body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
        self.wait(body.data())
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let waited = async { timeout(PATIENCE, what).await };
        self.runtime.block_on(waited).expect("it comes in time")
    }

    #[track_caller]
    fn assert_ends(&self, body: &mut RecvStream) {
        while let Some(piece) = self.piece(body) {
            assert_eq!(piece.expect("no error"), "", "more came");
        }
    }

    #[track_caller]
    fn assert_piece(&self, body: &mut RecvStream, expected: &'static str) {
        assert_eq!(self.piece(body).expect("a piece").expect("no error"), expected);
    }

    /// Asserts that the stream is reset, and returns when it was, in microseconds.
    #[track_caller]
    fn reset(&self, body: &mut RecvStream) -> u64 {
        loop {
            match self.piece(body) {
                // Pieces that were under way. The window is not opened again.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
                    return clock::micros();
                }
                None => panic!("the stream ended in order"),
            }
        }
    }
}

struct Stream {
    answer: h2::client::ResponseFuture,
    sends: SendStream<Bytes>,
}

async fn connect(gateway: &Gateway, authority: &Authority) -> h2::client::SendRequest<Bytes> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der())).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut settings = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    settings.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = tokio::net::TcpStream::connect(gateway.address()).await.expect("a connection");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(settings));
    let name = ServerName::try_from(NAME).expect("a name");
    let stream = connector.connect(name, tcp).await.expect("a handshake");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

#[test]
fn expired_stream_is_reset_and_its_neighbours_go_on() {
    let site = Site::open();
    let (_, mut bobs) = site.answered(site.start("/orders/events", &long_lived(), true));
    let (_, mut nobodys) = site.answered(site.start("/public/events", &long_lived(), true));
    let (credential, end) = short_lived();
    let (_, mut alices) = site.answered(site.start("/orders/events", &credential, true));
    for body in [&mut bobs, &mut nobodys, &mut alices] {
        site.assert_piece(body, "first");
    }
    assert_in_time(site.reset(&mut alices), end);
    site.paused.go_on();
    for body in [&mut bobs, &mut nobodys] {
        site.assert_piece(body, "second");
        site.assert_ends(body);
    }
    assert_eq!(ended(&site.gateway, "expired"), 1.0);
    let line = site.gateway.logged(|line| line["slug"] == "token_expired");
    assert_eq!((&line["status"], &line["path"]), (&json!(200), &json!("/orders/events")));
    assert_eq!((&line["host"], &line["method"]), (&json!(NAME), &json!("GET")));
}

#[test]
fn stream_whose_window_is_full_is_reset_when_its_credential_expires() {
    let site = Site::open();
    let (credential, end) = short_lived();
    let (_, mut body) = site.answered(site.start("/orders/flood", &credential, true));
    assert_in_time(site.reset(&mut body), end);
    // What was received counts against the connection's window, too.
    drop(body);
    let (_, mut next) = site.answered(site.start("/public/x", &credential, true));
    site.assert_piece(&mut next, "done");
}

#[test]
fn stream_without_an_answer_is_reset_when_its_credential_expires() {
    let site = Site::open();
    for (path, ends) in [("/orders/poll", true), ("/orders/upload", false)] {
        let (credential, end) = short_lived();
        let Stream { answer, mut sends } = site.start(path, &credential, ends);
        if !ends {
            sends.send_data(Bytes::from_static(b"the beginning"), false).expect("the stream");
        }
        let error = site.wait(answer).expect_err("no answer");
        assert_in_time(clock::micros(), end);
        assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    }
    assert_eq!(ended(&site.gateway, "expired"), 2.0);
    let (_, mut next) = site.answered(site.start("/public/x", &long_lived(), true));
    site.assert_piece(&mut next, "done");
}

#[test]
fn revoked_stream_is_reset_and_its_neighbours_go_on() {
    let site = Site::open();
    let alice = bearer(&token(json!({})));
    let (_, mut alices) = site.answered(site.start("/orders/events", &alice, true));
    let (_, mut bobs) = site.answered(site.start("/orders/events", &long_lived(), true));
    for body in [&mut alices, &mut bobs] {
        site.assert_piece(body, "first");
    }
    let revoked = revoke(&site.gateway, "alice");
    let late = site.reset(&mut alices).saturating_sub(revoked);
    assert!(late < 1_000_000, "it was {late} µs late");
    site.paused.go_on();
    site.assert_piece(&mut bobs, "second");
    site.assert_ends(&mut bobs);
    assert_eq!(ended(&site.gateway, "revoked"), 1.0);
}
