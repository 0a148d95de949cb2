//! The public conformance cases for HTTP/2 (RFC 9113) of the crate `httpwg-cli`, which speaks no TLS.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::harness::tls::client::{VERSIONS, settings};
use crate::harness::tls::{NAME, TlsGateway};

/// How many cases there are.
const CASES: usize = 107;

/// How long a case waits for a frame, in milliseconds. Those that await none take as long as this.
const FRAME_TIMEOUT_MS: &str = "5000";

/// What may come of a case, as its program tells it.
#[derive(Clone, Copy)]
struct Accepted {
    case: &'static str,
    told: &'static str,
}

/// The connection, or the stream, is ended with `PROTOCOL_ERROR` where a narrower code exists (RFC 9113 §7).
/// The library for HTTP/2 chooses it.
const fn wider(case: &'static str, told: &'static str) -> Accepted {
    Accepted { case, told }
}

const NOT_STREAM_CLOSED: &str = "StreamClosed), but got ProtocolError";
const NOT_FRAME_SIZE: &str = "FrameSizeError), but got ProtocolError";
const NOT_FLOW_CONTROL: &str = "FlowControlError), but got ProtocolError";
const NOT_COMPRESSION: &str = "CompressionError), but got ProtocolError";

/// It is answered with 400, and its stream is at its end.
const ANSWERED: &str = "Timed out while waiting for stream error, last frame: (Some(#1:Headers { len: 1, flags: EndStream";

/// The cases that may fail, each in one way.
const ACCEPTED: [Accepted; 19] = [
    wider("invalid header block fragment", NOT_COMPRESSION),
    wider("half closed remote sends data frame", NOT_STREAM_CLOSED),
    wider("half closed remote sends headers frame", NOT_STREAM_CLOSED),
    wider("closed sends headers frame", NOT_STREAM_CLOSED),
    wider("closed sends headers frame after rst stream", NOT_STREAM_CLOSED),
    wider("closed sends data frame after rst stream frame", NOT_STREAM_CLOSED),
    wider("sends data frame on invalid stream state", NOT_STREAM_CLOSED),
    wider("sends priority frame with invalid length", NOT_FRAME_SIZE),
    wider("sends rst stream frame with invalid length", NOT_FRAME_SIZE),
    wider("sends settings frame with ack and payload", NOT_FRAME_SIZE),
    wider("sends settings frame with invalid length", NOT_FRAME_SIZE),
    wider("sends settings initial window size with invalid value", NOT_FLOW_CONTROL),
    wider(
        "sends settings initial window size with exceeded max window size value",
        NOT_FLOW_CONTROL,
    ),
    wider("sends ping frame with invalid length", NOT_FRAME_SIZE),
    wider("sends window update frame with invalid length", NOT_FRAME_SIZE),
    // Its fragment has no end, and is waited for until the idle timeout.
    Accepted {
        case: "client sends push promise frame",
        told: "Timed out while waiting for connection error",
    },
    Accepted { case: "sends connect without authority", told: ANSWERED },
    Accepted { case: "sends headers frame with mismatched host authority", told: ANSWERED },
    // The library drops the pseudo-header, and the gateway the trailers: no upstream sees either, and the
    // request is answered.
    Accepted {
        case: "sends headers frame with pseudo header in trailer",
        told: "Timed out while waiting for stream error, last frame: (Some(#1:Data { len: 15, flags: EndStream",
    },
];

/// The case that panics if the connection ends before its `PING` is answered, which a `GOAWAY` permits (RFC 9113
/// §6.8).
const SOMETIMES_SILENT: &str = "sends goaway frame with unknown error code";

#[test]
fn cases_of_httpwg_hold_but_for_those_that_are_accepted() {
    // The cases ask for `/`.
    let site = TlsGateway::open_changed(|text| text.replace("'/public/{*rest}'", "'/{*rest}'"));
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
    let passed = told.lines().filter_map(|line| case_of(line, "Test passed: ")).collect::<Vec<_>>();
    let failed = failures(&told);
    // The program says nothing of a case that panics.
    let silent = CASES - passed.len() - failed.len();
    assert!(silent == usize::from(!passed.contains(&SOMETIMES_SILENT)), "{silent} in {told}");
    let is_accepted = |(case, why): &(&str, &str)| {
        ACCEPTED.iter().any(|accepted| accepted.case == *case && why.contains(accepted.told))
    };
    let refused: Vec<_> = failed.into_iter().filter(|failure| !is_accepted(failure)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// The case that a line is about, if it tells this of one.
fn case_of<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.split_once(mark)?.1.rsplit(" :: ").next().map(str::trim)
}

/// The cases that failed, and why: that stands in the first of the lines below that is not empty.
fn failures(told: &str) -> Vec<(&str, &str)> {
    let mut lines = told.lines();
    let mut failures = Vec::new();
    while let Some(line) = lines.next() {
        let Some(case) = case_of(line, "Test failed: ") else { continue };
        let why = lines.by_ref().find(|line| !line.trim().is_empty()).unwrap_or_default();
        failures.push((case, why.trim()));
    }
    failures
}

/// Takes what the cases say without TLS to a gateway behind TLS.
struct Relay {
    address: SocketAddr,
    /// Relays for as long as it lives.
    _runtime: Runtime,
}

impl Relay {
    fn to(site: &TlsGateway) -> Self {
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
