//! Pingora's proxy, each of its requests within reach: it can be given up from outside.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::gatekeeper::Gatekeeper;
use super::http2;
use super::published::Current;
use super::streams::{Seat, Streams};

/// Serves requests, and gives up those whose principal has lapsed.
pub(super) struct Attended {
    proxy: Arc<HttpProxy<Gatekeeper>>,
    streams: Arc<Streams>,
    current: Current,
}

impl Attended {
    pub(super) fn new(
        proxy: HttpProxy<Gatekeeper>,
        streams: Arc<Streams>,
        current: Current,
    ) -> Self {
        Self { proxy: Arc::new(proxy), streams, current }
    }

    /// A slot for the requests of an HTTP/1 connection, one after the other.
    pub(super) fn seat(&self) -> Seat {
        self.streams.seat()
    }

    /// Serves one request. `None` if nothing can follow it on its connection: giving a request up
    /// drops whatever belongs to it, which closes an HTTP/1 connection and resets an HTTP/2 stream.
    pub(super) async fn serve(
        &self,
        session: ServerSession,
        shutdown: &ShutdownWatch,
        seat: &Seat,
    ) -> Option<ReusedHttpStream> {
        seat.attend(self.proxy.process_new_http(session, shutdown)).await.flatten()
    }
}

/// For HTTP/2, whose connections are Pingora's: it calls this for each stream.
#[async_trait]
impl HttpServerApp for Attended {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.serve(session, shutdown, &self.seat()).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(http2::options(&self.current.load().configuration.limits))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
