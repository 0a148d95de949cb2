//! Clients that speak TLS: HTTP/1.1 by hand, HTTP/2 through a library that does as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, SupportedProtocolVersion};
use tokio::runtime::Runtime;

use super::NAME;
use crate::harness::PATIENCE;
use crate::harness::certificates::Authority;
use crate::harness::client::{Answer, get};

/// The versions of TLS that a modern client offers.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// A client's settings: whom it trusts, and what it offers.
pub(crate) fn settings(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der())).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    // Each handshake is to show what the gateway does now.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// A TLS connection, and what travels on it.
pub(crate) type Tls = rustls::StreamOwned<ClientConnection, TcpStream>;

/// Connects and shakes hands.
pub(crate) fn connect(address: SocketAddr, settings: Arc<ClientConfig>) -> std::io::Result<Tls> {
    let tcp = TcpStream::connect(address)?;
    shake(tcp, settings)
}

/// Shakes hands on a connection.
pub(crate) fn shake(mut tcp: TcpStream, settings: Arc<ClientConfig>) -> std::io::Result<Tls> {
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).expect("a name");
    let mut tls = ClientConnection::new(settings, name).map_err(std::io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    Ok(rustls::StreamOwned::new(tls, tcp))
}

/// Sends one HTTP/1.1 request after which the connection ends, and reads its answer.
pub(crate) fn exchange1(stream: &mut Tls, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).expect("a request");
    let mut bytes = Vec::new();
    // Ended in order or not: what came is what counts.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let fields = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.expect("a status"),
        fields: fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// A `GET` after which the connection ends.
pub(crate) fn get_once(path: &str, fields: &[(&str, &str)]) -> String {
    let fields = [fields, &[("Connection", "close")]].concat();
    get(path, &fields)
}

/// An HTTP/2 connection.
pub(crate) struct Http2 {
    runtime: Runtime,
    sender: h2::client::SendRequest<Bytes>,
    /// Ends with the connection.
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    pub(crate) fn connect(address: SocketAddr, authority: &Authority) -> Self {
        Self::connect_with(address, settings(authority, &VERSIONS, &["h2"]))
    }

    pub(crate) fn connect_with(address: SocketAddr, settings: Arc<ClientConfig>) -> Self {
        Self::over(TcpStream::connect(address).expect("the gateway accepts"), settings)
    }

    /// A client that reads nothing of any answer but its head.
    pub(crate) fn connect_without_window(address: SocketAddr, authority: &Authority) -> Self {
        let tcp = TcpStream::connect(address).expect("the gateway accepts");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0);
        Self::over_with(tcp, settings(authority, &VERSIONS, &["h2"]), &builder)
    }

    /// Shakes hands on a connection.
    pub(crate) fn over(tcp: TcpStream, settings: Arc<ClientConfig>) -> Self {
        Self::over_with(tcp, settings, &h2::client::Builder::new())
    }

    fn over_with(
        tcp: TcpStream,
        settings: Arc<ClientConfig>,
        builder: &h2::client::Builder,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (sender, connection) = runtime.block_on(async {
            tcp.set_nonblocking(true).expect("a socket");
            let tcp = tokio::net::TcpStream::from_std(tcp).expect("a socket");
            tcp.set_nodelay(true).expect("no delay");
            let name = ServerName::try_from(NAME).expect("a name");
            let connector = tokio_rustls::TlsConnector::from(settings);
            let stream = connector.connect(name, tcp).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            builder.handshake(stream).await.expect("HTTP/2")
        });
        let connection = runtime.spawn(connection);
        Self { runtime, sender, connection }
    }

    /// Sends a request without a body.
    pub(crate) fn exchange(&self, request: Request<()>) -> Answer {
        self.try_exchange(request, None, None).expect("an answer")
    }

    /// Gets a path.
    pub(crate) fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.exchange(request("GET", path, fields))
    }

    /// Sends a request with a body and trailers.
    pub(crate) fn try_exchange(
        &self,
        request: Request<()>,
        body: Option<Vec<u8>>,
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let exchange = exchange2(self.sender.clone(), request, body, trailers);
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
        })
    }

    /// Sends a request whose body comes in pieces, each after a pause, and perhaps an end.
    pub(crate) fn exchange_slowly(
        &self,
        request: Request<()>,
        pieces: &[(Duration, &'static str)],
        ends: bool,
    ) -> Result<Answer, h2::Error> {
        let sender = self.sender.clone();
        let exchange = async {
            let mut sender = sender.ready().await?;
            let (answer, mut stream) = sender.send_request(request, false)?;
            let sending = async {
                for (number, (pause, piece)) in pieces.iter().enumerate() {
                    tokio::time::sleep(*pause).await;
                    let is_last = ends && number + 1 == pieces.len();
                    let _ = stream.send_data(Bytes::from_static(piece.as_bytes()), is_last);
                }
                // To drop the stream would end it.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answer = read_answer(answer) => answer,
                () = sending => unreachable!("it is pending"),
            }
        };
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
        })
    }

    /// Sends requests without waiting for one another, and returns their answers in order.
    pub(crate) fn exchange_all(&self, requests: Vec<Request<()>>) -> Vec<Answer> {
        let waiting = self.start_all(requests);
        waiting.into_iter().map(|answer| answer()).collect()
    }

    /// Sends requests; each of what it returns waits for the answer to one.
    pub(crate) fn start_all(
        &self,
        requests: Vec<Request<()>>,
    ) -> Vec<impl FnOnce() -> Answer + use<>> {
        let tasks: Vec<_> = requests
            .into_iter()
            .map(|request| self.runtime.spawn(exchange2(self.sender.clone(), request, None, None)))
            .collect();
        tasks
            .into_iter()
            .map(|task| {
                let runtime = self.runtime.handle().clone();
                move || runtime.block_on(task).expect("a task").expect("an answer")
            })
            .collect()
    }

    /// Gets a path again and again, so many times at once, until the gateway takes no more requests. Returns
    /// how many it answered, each with this status; to whatever was sent there has to be an answer.
    pub(crate) fn exhaust(&self, path: &'static str, at_once: usize, status: u16) -> usize {
        let asking = |sender: h2::client::SendRequest<Bytes>| async move {
            let mut answered = 0;
            loop {
                assert!(answered < 10_000, "it takes ever more");
                let Ok(mut ready) = sender.clone().ready().await else { return answered };
                let sent = ready.send_request(request("GET", path, &[]), true);
                let Ok((answer, _)) = sent else { return answered };
                let answer = read_answer(answer).await.expect("an answer to what was sent");
                assert_eq!(answer.status, status);
                answered += 1;
            }
        };
        let tasks: Vec<_> =
            (0..at_once).map(|_| self.runtime.spawn(asking(self.sender.clone()))).collect();
        tasks.into_iter().map(|task| self.runtime.block_on(task).expect("a task")).sum()
    }

    /// Sends a request, reads the head of its answer and resets the stream within its body. Returns the
    /// status.
    pub(crate) fn leave_within_answer(&self, request: Request<()>) -> u16 {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let mut sender = sender.ready().await.expect("a connection");
            let (answer, mut stream) = sender.send_request(request, true).expect("a stream");
            let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time");
            let status = answer.expect("an answer").status().as_u16();
            stream.send_reset(h2::Reason::CANCEL);
            status
        })
    }

    /// Sends a request and reads the head of its answer, whose body stays unread for as long as the
    /// connection lives. Returns the status.
    pub(crate) fn hold_answer(&self, request: Request<()>) -> u16 {
        let sender = self.sender.clone();
        let (tell, told) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let mut sender = sender.ready().await.expect("a connection");
            let (answer, _stream) = sender.send_request(request, true).expect("a stream");
            let answer = answer.await.expect("an answer");
            let _ = tell.send(answer.status().as_u16());
            std::future::pending::<()>().await;
            drop(answer);
        });
        told.recv_timeout(PATIENCE).expect("an answer in time")
    }

    /// Sends a request and a piece of its body, and resets the stream once that has arrived.
    pub(crate) fn leave_within_body(
        &self,
        request: Request<()>,
        piece: &'static str,
        arrived: impl FnOnce(),
    ) {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let mut sender = sender.ready().await.expect("a connection");
            let (answer, mut stream) = sender.send_request(request, false).expect("a stream");
            stream.send_data(piece.into(), false).expect("a piece of the body");
            tokio::task::block_in_place(arrived);
            stream.send_reset(h2::Reason::CANCEL);
            drop(answer);
        });
    }

    /// Opens a stream and resets it at once.
    pub(crate) fn open_and_reset(&self, request: Request<()>) -> Result<(), h2::Error> {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let mut sender = sender.ready().await?;
            let (answer, mut stream) = sender.send_request(request, false)?;
            stream.send_reset(h2::Reason::CANCEL);
            drop(answer);
            Ok(())
        })
    }

    /// How many streams the gateway allows at once.
    pub(crate) fn streams_max(&self) -> usize {
        // The settings arrive before the first answer does.
        self.get("/", &[]);
        self.sender.current_max_send_streams()
    }

    /// Sends the head of a request whose body never comes, or only `first` of it. `None` if the
    /// gateway allows no more streams for now.
    pub(crate) fn begin(&self, request: Request<()>, first: &'static [u8]) -> Option<OpenRequest> {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let ready = tokio::time::timeout(PATIENCE, sender.ready()).await.ok()?;
            let (answer, mut stream) = ready.ok()?.send_request(request, false).ok()?;
            if !first.is_empty() {
                stream.send_data(Bytes::from_static(first), false).ok()?;
            }
            Some(OpenRequest { answer, stream, runtime: self.runtime.handle().clone() })
        })
    }

    /// Waits until the gateway has ended the connection. Returns whether it has.
    pub(crate) fn is_ended_within(&mut self, within: Duration) -> bool {
        let ended = &mut self.connection;
        self.runtime.block_on(async { tokio::time::timeout(within, ended).await.is_ok() })
    }
}

/// A request that was begun.
pub(crate) struct OpenRequest {
    answer: h2::client::ResponseFuture,
    pub(crate) stream: h2::SendStream<Bytes>,
    runtime: tokio::runtime::Handle,
}

impl OpenRequest {
    /// The status of the answer, if it comes in time.
    pub(crate) fn status_within(&mut self, within: std::time::Duration) -> Option<u16> {
        let answer = &mut self.answer;
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(within, answer).await.ok()?;
            Some(answer.ok()?.status().as_u16())
        })
    }
}

async fn exchange2(
    sender: h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Vec<u8>>,
    trailers: Option<HeaderMap>,
) -> Result<Answer, h2::Error> {
    let mut sender = sender.ready().await?;
    let ends = body.is_none() && trailers.is_none();
    let (answer, mut stream) = sender.send_request(request, ends)?;
    // A gateway that does not want the rest says so in its answer.
    if let Some(body) = body {
        let _ = stream.send_data(body.into(), trailers.is_none());
    }
    if let Some(trailers) = trailers {
        let _ = stream.send_trailers(trailers);
    }
    read_answer(answer).await
}

async fn read_answer(answer: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let answer = answer.await?;
    let fields = answer.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let (status, fields) = (answer.status().as_u16(), fields.collect());
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, fields, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A request to the gateway.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .version(http::Version::HTTP_2)
        .uri(format!("https://{NAME}{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}
