//! The same over TLS, where browsers speak HTTP/2 and break cookies into crumbs.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::harness::PATIENCE;
use crate::harness::certificates::Authority;
use crate::harness::client::Answer;
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, COOKIE, Login};
use crate::harness::outcome::accepted;
use crate::harness::sessions::{ROUTES, denied, told};
use crate::harness::upstream::Upstream;

const NAME: &str = "gateway.test";

/// A gateway behind TLS.
struct SessionFleet {
    upstream: Upstream,
    gateway: Gateway,
    authority: Authority,
    runtime: Runtime,
}

impl SessionFleet {
    fn open(lines: &str) -> Self {
        let (upstream, authority) = (Upstream::start(), Authority::new());
        let certificate = authority.issue(NAME);
        let directory = login::directory();
        std::fs::write(directory.path().join("site.pem"), &certificate.chain).expect("a file");
        std::fs::write(directory.path().join("site.key"), &certificate.key).expect("a file");
        let tls = "tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }";
        let secured = format!("listeners: [{{ address: '127.0.0.1:0', {tls} }}]");
        let standard = gateway::standard(&upstream);
        let standard = standard.replace("listeners: [{ address: '127.0.0.1:0' }]", &secured);
        let text = format!("{lines}{}{}{ROUTES}", login::SECTION, standard.trim_end());
        let gateway = Gateway::start_in(directory, &text);
        let runtime = Runtime::new().expect("a runtime");
        Self { upstream, gateway, authority, runtime }
    }

    fn settings(&self, protocol: &str) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.der())).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config)
    }

    /// Sends a request over HTTP/2, on a connection of its own.
    fn exchange(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let uri = format!("https://{NAME}{path}");
        let mut request = Request::builder().method(method).version(http::Version::HTTP_2).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let (address, settings) = (self.gateway.address(), self.settings("h2"));
        let exchanged = exchange(address, settings, request, body.to_owned());
        self.runtime.block_on(async { timeout(PATIENCE, exchanged).await.expect("in time") })
    }

    fn log_in(&self, name: &str) -> Login {
        let body = serde_json::json!({ "username": name, "password": login::PASSWORD }).to_string();
        let fields = [("content-type", "application/json"), ("origin", "https://gateway.test")];
        Login::read(&self.exchange("POST", "/auth/login", &fields, &body))
    }

    fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        told(&self.exchange(method, path, fields, ""))
    }
}

async fn exchange(
    address: SocketAddr,
    settings: Arc<rustls::ClientConfig>,
    request: Request<()>,
    body: String,
) -> Answer {
    let tcp = tokio::net::TcpStream::connect(address).await.expect("the gateway accepts");
    let name = ServerName::try_from(NAME).expect("a name");
    let connector = tokio_rustls::TlsConnector::from(settings);
    let stream = connector.connect(name, tcp).await.expect("a handshake");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("ready");
    let (answer, mut sends) = sender.send_request(request, body.is_empty()).expect("a stream");
    if !body.is_empty() {
        sends.send_data(Bytes::from(body), true).expect("a body");
    }
    let answer = answer.await.expect("an answer");
    let status = answer.status().as_u16();
    let fields = answer.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let fields = fields.collect();
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.expect("a piece");
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    Answer { status, fields, body: String::from_utf8_lossy(&body).into_owned() }
}

#[test]
fn session_is_found_among_crumbs_and_kept_back_from_them() {
    let site = SessionFleet::open("");
    let alice = site.log_in("alice");
    let ours = ("cookie", &*alice.cookie);
    let forwarded = || -> Vec<String> {
        site.upstream.last().values("cookie").into_iter().map(str::to_owned).collect()
    };
    for path in ["/home/x", "/public/x"] {
        assert_eq!(site.ask("GET", path, &[ours]), accepted());
        assert_eq!(forwarded(), [""; 0], "{path}");
        let crumbs = [("cookie", "a=b"), ours, ("cookie", "c=d; e=f")];
        assert_eq!(site.ask("GET", path, &crumbs), accepted());
        assert_eq!(forwarded(), ["a=b; c=d; e=f"], "{path}");
    }
    assert_eq!(site.ask("GET", "/kept", &[("cookie", "a=b"), ours]), accepted());
    assert_eq!(forwarded(), [format!("a=b; {}", alice.cookie)]);
    assert_eq!(site.upstream.last().values("x-auth-session"), [&*alice.id]);
    // Two are two, in however many crumbs.
    let empty = format!("{COOKIE}=");
    for other in [&*alice.cookie, &empty, COOKIE] {
        let crumbs = [ours, ("cookie", "a=b"), ("cookie", other)];
        assert_eq!(site.ask("GET", "/home/x", &crumbs), denied("credential_malformed"));
        assert_eq!(site.ask("GET", "/public/x", &crumbs), accepted());
        assert_eq!(forwarded(), ["a=b"]);
    }
}

#[test]
fn own_origin_behind_tls_is_https() {
    let site = SessionFleet::open("sessions: { allowed_origins: ['https://app.example'] }\n");
    let alice = site.log_in("alice");
    let ask = |fields: &[(&str, &str)]| {
        let fields = [&[("cookie", &*alice.cookie)], fields].concat();
        site.ask("POST", "/home/x", &fields)
    };
    let csrf = ("x-csrf-token", &*alice.csrf);
    assert_eq!(ask(&[]), denied("csrf"));
    assert_eq!(ask(&[("origin", "http://gateway.test")]), denied("csrf"));
    assert_eq!(ask(&[("origin", "https://evil.example"), csrf]), denied("csrf"));
    assert_eq!(ask(&[("origin", "https://gateway.test:8443")]), denied("csrf"));
    assert_eq!(ask(&[("sec-fetch-site", "cross-site"), csrf]), denied("csrf"));
    assert_eq!(ask(&[("origin", "https://gateway.test")]), accepted());
    assert_eq!(ask(&[("origin", "https://app.example")]), accepted());
    assert_eq!(ask(&[("sec-fetch-site", "same-origin")]), accepted());
    assert_eq!(ask(&[csrf]), accepted());
    let fields = [("cookie", &*alice.cookie), csrf];
    assert_eq!(site.ask("POST", "/auth/logout", &fields).0, 204);
    assert_eq!(ask(&[csrf]), denied("session_revoked"));
}

#[test]
fn http1_behind_tls_judges_alike() {
    let site = SessionFleet::open("");
    let alice = site.log_in("alice");
    let ask = |origin: &str| {
        let tcp = std::net::TcpStream::connect(site.gateway.address()).expect("it accepts");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let name = ServerName::try_from(NAME).expect("a name");
        let tls = rustls::ClientConnection::new(site.settings("http/1.1"), name).expect("a client");
        let mut stream = rustls::StreamOwned::new(tls, tcp);
        let fields = [("Cookie", &*alice.cookie), ("Origin", origin), ("Connection", "close")];
        let request = crate::harness::client::request("POST", "/home/x", &fields, "");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    assert_eq!(ask("https://gateway.test"), Some(200));
    assert_eq!(ask("http://gateway.test"), Some(403));
}

#[test]
fn refusals_over_http2_set_no_cookie() {
    let site = SessionFleet::open("");
    let alice = site.log_in("alice");
    // Asked by `told` of every answer that refuses something.
    assert_eq!(site.ask("GET", "/home/x", &[]), denied("credential_absent"));
    assert_eq!(
        site.ask("GET", "/home/x", &[("cookie", "__Host-session=x")]),
        denied("credential_malformed")
    );
    assert_eq!(site.ask("GET", "/admins", &[("cookie", &alice.cookie)]), denied("role_missing"));
}
