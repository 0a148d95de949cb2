//! One HTTP/2 connection: what it may ask of the gateway, and how it ends.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::drain::Drain;
use super::limits::bounds::REQUESTS_MAX;
use super::pingora_lane::revocable_proxy::RevocableProxy;
use crate::config::Limits;

/// How much of a body a client may send on a stream before it is read.
const WINDOW_BYTES: u32 = 64 * 1024 - 1;

/// How much of all bodies of a connection: an upload that its upstream does not take must not hold up the
/// others.
const CONNECTION_WINDOW_BYTES: u32 = 16 * WINDOW_BYTES;

/// How much of an answer is gathered for a stream while the connection does not take it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How many requests more a client may begin after it was sent away, at least. One that heeds that
/// begins none once it has heard of it, and until then about as many as it may have streams.
const REQUESTS_BEYOND_MIN: u32 = 1_000;

/// A connection, request by request. Pingora drives it, and calls this for each stream.
pub(super) struct Http2Connection {
    app: Arc<RevocableProxy>,
    options: H2Options,
    /// How long it may idle.
    patience: Duration,
    /// How many requests it may carry after it was sent away.
    beyond_max: u32,
    begun: AtomicU32,
    ended: AtomicU32,
    /// So many requests have begun that something has to be done.
    is_due: Notify,
}

impl Http2Connection {
    /// A connection that begins now.
    pub(super) fn new(app: Arc<RevocableProxy>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            app,
            options: options(limits),
            patience: limits.keepalive_timeout,
            beyond_max: REQUESTS_BEYOND_MIN.max(limits.http2_streams_max.saturating_mul(2)),
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            is_due: Notify::new(),
        })
    }

    /// Serves the connection until it is closed.
    ///
    /// When the gateway stops, or the connection has carried as many requests as it may, the client is
    /// sent away (GOAWAY, RFC 9113 §6.8): what it had begun until it heard of that is served, and it
    /// begins nothing more. So no request is lost.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream, drain: &Drain) {
        let (farewell, shutdown) = watch::channel(false);
        let mut serving = pin!(self.process_new(stream, &shutdown));
        tokio::select! {
            _ = &mut serving => return,
            () = drain.begun() => {}
            () = self.is_due.notified() => {}
        }
        farewell.send_replace(true);
        tokio::select! {
            _ = serving => {}
            () = self.overstayed() => {}
        }
    }

    /// Returns if a client that was sent away begins ever more, or neither asks for anything nor
    /// leaves: for the whole of its patience no request began or ended, so that what was answered last
    /// has been sent.
    async fn overstayed(&self) {
        loop {
            let before = self.counts();
            if before.0 >= REQUESTS_MAX + self.beyond_max {
                return;
            }
            let is_silent = timeout(self.patience, self.is_due.notified()).await.is_err();
            let (begun, ended) = self.counts();
            if is_silent && begun == ended && (begun, ended) == before {
                return;
            }
        }
    }

    /// How many requests have begun, and how many of them have ended.
    fn counts(&self) -> (u32, u32) {
        // Ended first: one that begins and ends in between is none too few that are in progress.
        let ended = self.ended.load(Ordering::Acquire);
        (self.begun.load(Ordering::Acquire), ended)
    }

    /// Counts one more request; `None` beyond the last one that the connection carries. The connection is
    /// then about to be closed, but may have accepted more meanwhile.
    fn begin_request(&self) -> Option<InProgress<'_>> {
        let begun = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let last = REQUESTS_MAX + self.beyond_max;
        if begun == REQUESTS_MAX || begun == last {
            self.is_due.notify_one();
        }
        let in_progress = InProgress(&self.ended);
        (begun <= last).then_some(in_progress)
    }
}

/// A request is in progress until this is dropped.
struct InProgress<'a>(&'a AtomicU32);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The settings of a connection that begins now.
fn options(limits: &Limits) -> H2Options {
    let mut options = default_h2_options();
    options.max_header_list_size(u32::try_from(limits.head.bytes_max).unwrap_or(u32::MAX));
    options.max_concurrent_streams(limits.http2_streams_max);
    options.initial_window_size(WINDOW_BYTES);
    options.initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    options.max_send_buffer_size(SEND_BUFFER_BYTES);
    options
}

#[async_trait]
impl HttpServerApp for Http2Connection {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let _in_progress = self.begin_request()?;
        self.app.serve(session, shutdown, &self.app.seat(), None).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.options.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.app.server_options()
    }
}
