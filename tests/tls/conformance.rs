//! The public conformance cases for HTTP/2 (RFC 9113) of the crate `httpwg-cli`, which speaks no TLS.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::client::{VERSIONS, settings};
use super::{NAME, Site};

/// How many cases there are.
const CASES: usize = 107;

/// How long a case waits for a frame, in milliseconds. Those that await none take as long as this.
const FRAME_TIMEOUT_MS: &str = "5000";

/// The connection, or the stream, is ended with `PROTOCOL_ERROR` where a narrower code exists (RFC 9113 §7).
/// The library for HTTP/2 chooses it.
const ANOTHER_CODE: &str = "ended with PROTOCOL_ERROR instead of a narrower code";

/// The cases that may fail, and why.
const ACCEPTED: [(&str, &str); 19] = [
    ("invalid header block fragment", ANOTHER_CODE),
    ("half closed remote sends data frame", ANOTHER_CODE),
    ("half closed remote sends headers frame", ANOTHER_CODE),
    ("closed sends headers frame", ANOTHER_CODE),
    ("closed sends headers frame after rst stream", ANOTHER_CODE),
    ("closed sends data frame after rst stream frame", ANOTHER_CODE),
    ("sends data frame on invalid stream state", ANOTHER_CODE),
    ("sends priority frame with invalid length", ANOTHER_CODE),
    ("sends rst stream frame with invalid length", ANOTHER_CODE),
    ("sends settings frame with ack and payload", ANOTHER_CODE),
    ("sends settings frame with invalid length", ANOTHER_CODE),
    ("sends settings initial window size with invalid value", ANOTHER_CODE),
    ("sends settings initial window size with exceeded max window size value", ANOTHER_CODE),
    ("sends ping frame with invalid length", ANOTHER_CODE),
    ("sends window update frame with invalid length", ANOTHER_CODE),
    (
        "client sends push promise frame",
        "its fragment has no end, and is waited for until the idle timeout",
    ),
    ("sends connect without authority", "answered with 400 and reset"),
    ("sends headers frame with mismatched host authority", "answered with 400 and reset"),
    (
        "sends headers frame with pseudo header in trailer",
        "the library drops the pseudo-header, and the gateway the trailers: no upstream sees either",
    ),
];

/// The case that panics if the connection ends before its `PING` is answered, which a `GOAWAY` permits (RFC 9113
/// §6.8).
const SOMETIMES_SILENT: &str = "sends goaway frame with unknown error code";

#[test]
fn cases_of_httpwg_hold_but_for_those_that_are_accepted() {
    // The cases ask for `/`.
    let site = Site::open_changed(|text| text.replace("'/public/{*rest}'", "'/{*rest}'"));
    let relay = Relay::to(&site);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/httpwg/bin/httpwg");
    let output = Command::new(program)
        .args(["--address", &relay.address.to_string()])
        .args(["--frame-timeout", FRAME_TIMEOUT_MS, "--connect-timeout", FRAME_TIMEOUT_MS])
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .output()
        .expect("scripts/interop.sh installed it");
    let told = String::from_utf8_lossy(&output.stderr);
    let named = |mark: &str| -> Vec<&str> {
        let lines = told.lines().filter_map(|line| line.split_once(mark)?.1.rsplit(" :: ").next());
        lines.map(str::trim).collect()
    };
    let (passed, failed) = (named("Test passed: "), named("Test failed: "));
    // The program says nothing of a case that panics.
    let silent = CASES - passed.len() - failed.len();
    assert!(silent == usize::from(!passed.contains(&SOMETIMES_SILENT)), "{silent} in {told}");
    let is_accepted = |case: &&str| ACCEPTED.iter().any(|(accepted, _)| accepted == case);
    let refused: Vec<_> = failed.into_iter().filter(|case| !is_accepted(case)).collect();
    assert!(refused.is_empty(), "{refused:?} in {told}");
}

/// Takes what the cases say without TLS to a gateway behind TLS.
struct Relay {
    address: SocketAddr,
    /// Relays for as long as it lives.
    _runtime: Runtime,
}

impl Relay {
    fn to(site: &Site) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let gateway = site.gateway.address();
        let connector = TlsConnector::from(settings(&site.authority, &VERSIONS, &["h2"]));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, gateway, connector.clone()));
            }
        });
        Self { address, _runtime: runtime }
    }
}

/// Until either side hangs up; how it ends is for the cases to judge.
async fn relay(mut client: TcpStream, gateway: SocketAddr, connector: TlsConnector) {
    let Ok(tcp) = TcpStream::connect(gateway).await else { return };
    let name = ServerName::try_from(NAME).expect("a name");
    let Ok(mut gateway) = connector.connect(name, tcp).await else { return };
    let _ = copy_bidirectional(&mut client, &mut gateway).await;
}
