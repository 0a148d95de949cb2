//! One client connection, request by request.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::answer::FinishedAnswer;
use super::at_once::at_once;
use super::client::RequestClient;
use super::client_stream::inbound::{Inbound, Left, Returned};
use super::client_stream::prefixed_stream::PrefixedStream;
use super::context::Context;
use super::drain::Drain;
use super::exchange_state::RequestOrigin;
use super::fast_lane::plain_request::PlainRequest;
use super::fast_lane::{Buffers, Exchange, KeepAlive, Next};
use super::head::{self, ReadHead, Turn};
use super::http2;
use super::limits::bounds::REQUESTS_MAX;
use super::pingora_lane::revocable_proxy::RevocableProxy;
use super::publication::{Current, Published};
use super::record;
use super::revocation_sweep::StreamSlot;
use super::trace::RequestId;
use super::upstream_connections::UpstreamConnections;
use crate::config::LaneChoice;
use crate::gate::denial::{Denial, Slug};
use crate::gate::framing::Message;
use crate::gate::request::Scheme;
use crate::web::message::ClientKind;

/// How long a refused client may go on sending before the connection is cut, and how much.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// `PRI * HTTP/2.0`, `SM` and their line ends (RFC 9113 §3.4).
const HTTP2_PREFACE_BYTES: usize = 24;

/// Serves connections.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) app: Arc<RevocableProxy>,
    pub(super) upstreams: UpstreamConnections,
    pub(super) current: Current,
    pub(super) drain: Arc<Drain>,
}

/// Who opened a connection, and how.
#[derive(Clone, Copy, Debug)]
struct Downstream {
    client: IpAddr,
    scheme: Scheme,
}

impl Server {
    /// Serves a connection until it is closed.
    pub(super) async fn serve(&self, stream: Stream, client: IpAddr) {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            // Boxed, as is what Pingora serves below: an idle connection of HTTP/1 has no use for it.
            Box::pin(self.serve_http2(stream)).await;
        } else {
            self.serve_http1(stream, client).await;
        }
    }

    /// HTTP/2 frames leave no room for the ambiguities that heads are read for, so the connection is
    /// Pingora's; but for its preface, which it would wait for without end.
    async fn serve_http2(&self, mut stream: Stream) {
        let patience = self.current.load().configuration.settings.limits.header_timeout;
        let mut preface = vec![0; HTTP2_PREFACE_BYTES];
        let read = tokio::select! {
            read = timeout(patience, stream.read_exact(&mut preface)) => read,
            () = self.drain.begun() => return,
        };
        if let Ok(Ok(_)) = read {
            let stream = Box::new(PrefixedStream::new(preface, stream));
            let connection = {
                let limits = &self.current.load().configuration.settings.limits;
                http2::Http2Connection::new(self.app.clone(), limits)
            };
            connection.serve(stream, &self.drain).await;
        }
    }

    async fn serve_http1(&self, stream: Stream, client: IpAddr) {
        let returned = Returned::default();
        let scheme = match stream.get_ssl_digest() {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        };
        let inbound = Box::new(Inbound::new(stream, returned.clone()));
        self.serve_requests(inbound, Downstream { client, scheme }).await;
        let left = returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(left) = left {
            close(left).await;
        }
    }

    /// Serves one request after the other, until none can follow.
    async fn serve_requests(&self, mut inbound: Box<Inbound>, peer: Downstream) {
        let shutdown = self.drain.shutdown_watch();
        let seat = self.app.seat();
        let mut count = 0;
        let mut turn = Turn::First;
        let mut current = self.current.reader();
        let mut buffers = Buffers::default();
        loop {
            let published = current.load();
            let limits = &published.configuration.settings.limits;
            let (stream, kept) = inbound.between_requests();
            let (message, bytes) = match head::read(stream, kept, limits, turn, &self.drain).await {
                ReadHead::Head(message, bytes) => (message, bytes),
                ReadHead::Closed => return,
                ReadHead::Refused(slug, bytes) => {
                    return self.refuse(&mut inbound, peer.client, slug, &bytes).await;
                }
            };
            turn = Turn::Next;
            let bytes = inbound.begin(message, bytes, limits.body_pace);
            let keepalive_s = limits.keepalive_timeout.as_secs().max(1);
            count += 1;
            let (bytes, context) =
                match self.take(bytes, &message, peer, &seat, count, current.load()) {
                    Ok(exchange) => {
                        match seat.attend(exchange.serve(&mut buffers, &mut inbound)).await {
                            Some(Next::Request) if !self.drain.is_begun() => continue,
                            Some(Next::Request | Next::Close) | None => return,
                        }
                    }
                    Err(declined) => declined,
                };
            let mut session = ServerSession::new_http1(inbound);
            session.set_keepalive(Some(keepalive_s));
            session.set_keepalive_reuses_remaining(Some(REQUESTS_MAX - count));
            // Pingora parses what was read here as if it had read it itself.
            session.set_pipelined_prefix(bytes);
            let served = Box::pin(self.app.serve(session, &shutdown, &seat, context)).await;
            let Some(reusable) = served else { return };
            let (stream, _) = reusable.consume();
            // It is what Pingora was given.
            let Ok(returned) = stream.into_any().downcast() else { return };
            inbound = returned;
            if self.drain.is_begun() {
                return;
            }
        }
    }

    /// Takes a request into the fast lane.
    ///
    /// # Errors
    ///
    /// Its bytes, if it belongs to Pingora's; and the context in which the gate was asked, if it was.
    fn take(
        &self,
        bytes: BytesMut,
        message: &Message,
        peer: Downstream,
        seat: &StreamSlot,
        served: u32,
        published: &Arc<Published>,
    ) -> Result<Exchange<'_>, (BytesMut, Option<Box<Context>>)> {
        let settings = &published.configuration.settings;
        if settings.server.lane == LaneChoice::Pingora {
            return Err((bytes, None));
        }
        let request = PlainRequest::read(bytes, message).map_err(|bytes| (bytes, None))?;
        let is_last = request.wants_close || served >= REQUESTS_MAX || self.drain.is_begun();
        let keep_alive = if is_last { KeepAlive::Off } else { KeepAlive::On };
        let headers = &request.headers;
        let client =
            RequestClient::find(Some(peer.client), peer.scheme, headers, &settings.trusted_proxies);
        let mut context = Box::new(Context::new(published.clone()));
        context.receive(RequestOrigin { client, request_id: RequestId::find(headers) });
        match context.admit_at_once(&request, seat) {
            true => Ok(Exchange { connections: &self.upstreams, context, request, keep_alive }),
            false => Err((request.into_bytes(), Some(context))),
        }
    }

    /// Answers a head that must not reach Pingora, and gives the connection up: it cannot be known
    /// where its request ends and the next begins.
    async fn refuse(&self, inbound: &mut Inbound, client: IpAddr, slug: Slug, head: &[u8]) {
        let started = Instant::now();
        let current = self.current.load();
        let request_id = RequestId::make();
        let realm = &current.configuration.settings.realm;
        let denial = Denial::new(slug);
        let answer = FinishedAnswer::new(&denial, ClientKind::Program, request_id.as_str(), realm);
        record::refused(&current, client, request_id.as_str(), head, slug, started);
        drop(current);
        inbound.give_up();
        let bytes = answer.into_last_bytes();
        let written = async {
            inbound.write_all(&bytes).await?;
            inbound.flush().await
        };
        // Either way the connection ends here.
        drop(timeout(LINGER, written).await);
    }
}

/// Closes a connection. While the client still sends, that would reset it, and with it the answer
/// that is on its way (RFC 9112 §9.6): so what it sends is read for a while, if there is anything.
async fn close(Left { mut io, is_unread }: Left) {
    let mut ignored = [0; 4096];
    let farewell = async {
        // It may be closed already.
        drop(AsyncWriteExt::shutdown(&mut io).await);
        let mut left = LINGER_BYTES_MAX;
        if !is_unread {
            match at_once(io.read(&mut ignored)).await {
                None | Some(Ok(0) | Err(_)) => return,
                Some(Ok(bytes)) => left -= bytes,
            }
        }
        while left > 0 {
            match io.read(&mut ignored).await {
                Ok(0) | Err(_) => return,
                Ok(bytes) => left = left.saturating_sub(bytes),
            }
        }
    };
    drop(timeout(LINGER, farewell).await);
}
