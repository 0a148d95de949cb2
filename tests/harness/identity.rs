//! An identity service that answers as it is told, and as badly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::certificates::Certificate;
use super::upstream::Received;

/// What the service does with a request.
#[derive(Clone, Debug)]
pub(crate) enum IdentityReply {
    /// Answers with exactly these bytes, and closes the connection.
    Bytes(String),
    /// The same, byte by byte.
    Drip(String, Duration),
    /// Says this, and then spaces without end.
    Endless(String),
    /// Says nothing, and waits until the other side has had enough.
    Nothing,
    /// Resets the connection, with the request unread.
    Reset,
}

impl IdentityReply {
    /// An answer in JSON.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::with(status, "Content-Type: application/json\r\n", &value.to_string())
    }

    /// An answer with these header lines.
    pub(crate) fn with(status: u16, fields: &str, body: &str) -> Self {
        Self::Bytes(format!(
            "HTTP/1.1 {status} x\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    }
}

/// What requests and answers travel on.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A running service.
#[derive(Clone, Debug)]
pub(crate) struct IdentityService {
    address: SocketAddr,
    says: Arc<Mutex<IdentityReply>>,
    received: Arc<Mutex<Vec<Received>>>,
    sent: Arc<AtomicUsize>,
}

impl IdentityService {
    pub(crate) fn start(says: IdentityReply) -> Self {
        Self::listen(says, |stream| Some(Box::new(stream)))
    }

    /// A service that speaks TLS with this certificate.
    pub(crate) fn start_tls(says: IdentityReply, certificate: &Certificate) -> Self {
        let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
        let chain = chain.collect::<Result<_, _>>().expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        let config = Arc::new(config);
        Self::listen(says, move |stream| {
            let connection = ServerConnection::new(config.clone()).ok()?;
            Some(Box::new(StreamOwned::new(connection, stream)))
        })
    }

    fn listen(
        says: IdentityReply,
        accept: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let identity = Self {
            address: listener.local_addr().expect("an address"),
            says: Arc::new(Mutex::new(says)),
            received: Arc::default(),
            sent: Arc::default(),
        };
        let serving = identity.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, accept) = (serving.clone(), accept.clone());
                std::thread::spawn(move || match serving.said() {
                    // Linux resets a connection that is closed with something unread.
                    IdentityReply::Reset => drop(stream.peek(&mut [0; 1])),
                    says @ (IdentityReply::Bytes(_)
                    | IdentityReply::Drip(..)
                    | IdentityReply::Endless(_)
                    | IdentityReply::Nothing) => {
                        if let Some(stream) = accept(stream) {
                            serving.answer(stream, says);
                        }
                    }
                });
            }
        });
        identity
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it does this.
    pub(crate) fn say(&self, says: IdentityReply) {
        *self.says.lock().expect("the answer") = says;
    }

    /// What it was asked.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the record").clone()
    }

    /// How many bytes of endless answers it got rid of.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    fn said(&self) -> IdentityReply {
        self.says.lock().expect("the answer").clone()
    }

    fn answer(&self, mut stream: Box<dyn Stream>, says: IdentityReply) {
        let Some(received) = read_request(&mut *stream) else { return };
        self.received.lock().expect("the record").push(received);
        match says {
            IdentityReply::Bytes(bytes) => send(&mut *stream, bytes.as_bytes()).unwrap_or_default(),
            IdentityReply::Drip(bytes, pause) => {
                for byte in bytes.as_bytes() {
                    if send(&mut *stream, &[*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
            }
            IdentityReply::Endless(begin) => {
                let _ = send(&mut *stream, begin.as_bytes());
                let piece = [b' '; 64 * 1024];
                while send(&mut *stream, &piece).is_ok() {
                    self.sent.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
            IdentityReply::Nothing | IdentityReply::Reset => {
                while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
            }
        }
    }
}

fn send(stream: &mut dyn Stream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Reads one request with its body, which has a length.
fn read_request(stream: &mut dyn Stream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>| {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        Some(())
    };
    let head_end = loop {
        match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(at) => break at,
            None => more(&mut bytes)?,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let received = Received { head, body: String::new() };
    let [length] = received.values("content-length")[..] else { return Some(received) };
    let end = head_end + 4 + length.parse::<usize>().ok()?;
    while bytes.len() < end {
        more(&mut bytes)?;
    }
    let body = String::from_utf8_lossy(&bytes[head_end + 4..end]).into_owned();
    Some(Received { body, ..received })
}
