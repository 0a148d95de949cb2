//! One client connection, request by request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::apps::{HttpPersistentSettings, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::answer::{Answer, Reader};
use super::attended::Attended;
use super::drain::Drain;
use super::head::{self, Read, Turn};
use super::published::Current;
use super::record;
use super::trace::RequestId;
use super::unread::Unread;
use crate::gate::denial::{Denial, Slug};

/// How long a refused client may go on sending before the connection is cut, and how much.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// `PRI * HTTP/2.0`, `SM` and their line ends (RFC 9113 §3.4).
const HTTP2_PREFACE_BYTES: usize = 24;

/// How many requests one connection may carry; after them it is closed, which frees what a
/// connection accumulates and lets load move.
const REQUESTS_MAX: u32 = 10_000;

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) app: Arc<Attended>,
    pub(super) current: Current,
    pub(super) drain: Arc<Drain>,
}

impl Door {
    /// Serves a connection until it is closed.
    pub(super) async fn serve(&self, stream: Stream, client: IpAddr) {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            self.serve_http2(stream).await;
        } else {
            self.serve_http1(stream, client).await;
        }
    }

    /// HTTP/2 frames leave no room for the ambiguities that heads are read for, so the connection is
    /// Pingora's; but for its preface, which it would wait for without end.
    async fn serve_http2(&self, mut stream: Stream) {
        let patience = self.current.load().configuration.limits.header_timeout;
        let mut preface = vec![0; HTTP2_PREFACE_BYTES];
        let read = tokio::select! {
            read = timeout(patience, stream.read_exact(&mut preface)) => read,
            () = self.drain.begun() => return,
        };
        if let Ok(Ok(_)) = read {
            let stream = Box::new(Unread::new(preface, stream));
            self.app.process_new(stream, &self.drain.shutdown_watch()).await;
        }
    }

    async fn serve_http1(&self, mut stream: Stream, client: IpAddr) {
        let shutdown = self.drain.shutdown_watch();
        let seat = self.app.seat();
        let mut settings: Option<HttpPersistentSettings> = None;
        let mut turn = Turn::First;
        let mut current = self.current.reader();
        loop {
            let limits = &current.load().configuration.limits;
            let bytes = match head::read(&mut stream, limits, turn, &self.drain).await {
                Read::Head(bytes) => bytes,
                Read::Closed => return,
                Read::Refused(slug, bytes) => {
                    return self.refuse(stream, client, slug, &bytes).await;
                }
            };
            let keepalive_s = limits.keepalive_timeout.as_secs().max(1);
            let mut session = ServerSession::new_http1(stream);
            match settings.take() {
                Some(settings) => HttpPersistentSettings::apply_to_session(settings, &mut session),
                None => {
                    session.set_keepalive(Some(keepalive_s));
                    session.set_keepalive_reuses_remaining(Some(REQUESTS_MAX));
                }
            }
            // Pingora parses what was read here as if it had read it itself.
            session.set_pipelined_prefix(bytes);
            let Some(reusable) = self.app.serve(session, &shutdown, &seat).await else {
                return;
            };
            if self.drain.is_begun() {
                return;
            }
            (stream, settings) = reusable.consume();
            turn = Turn::Next;
        }
    }

    /// Answers a head that must not reach Pingora, and closes the connection: where its request
    /// ends, and the next begins, nobody can say.
    async fn refuse(&self, mut stream: Stream, client: IpAddr, slug: Slug, head: &[u8]) {
        let started = Instant::now();
        let current = self.current.load();
        let request_id = RequestId::make();
        let realm = &current.configuration.realm;
        let denial = Denial::new(slug);
        let answer = Answer::new(&denial, Reader::Program, request_id.as_str(), realm);
        record::refused(&current, client, request_id.as_str(), head, slug, started);
        drop(current);
        let farewell = async {
            stream.write_all(&answer.into_last_bytes()).await?;
            stream.flush().await?;
            AsyncWriteExt::shutdown(&mut stream).await?;
            // Closing while the client still sends would reset the connection and with it the
            // answer that is on its way.
            let mut left = LINGER_BYTES_MAX;
            let mut ignored = [0; 4096];
            while left > 0 {
                match stream.read(&mut ignored).await? {
                    0 => break,
                    bytes => left = left.saturating_sub(bytes),
                }
            }
            std::io::Result::Ok(())
        };
        // Either way the connection ends here.
        drop(timeout(LINGER, farewell).await);
    }
}
