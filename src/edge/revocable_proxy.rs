//! Pingora's proxy, each of whose requests can be ended from outside.

use std::sync::Arc;

use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::context::{Context, hand_over};
use super::gatekeeper::Gatekeeper;
use super::streams::{StreamSlot, Streams};

/// Serves requests, and gives up those whose principal has lapsed.
pub(super) struct RevocableProxy {
    proxy: Arc<HttpProxy<Gatekeeper>>,
    streams: Arc<Streams>,
}

impl RevocableProxy {
    pub(super) fn new(proxy: HttpProxy<Gatekeeper>, streams: Arc<Streams>) -> Self {
        Self { proxy: Arc::new(proxy), streams }
    }

    /// What Pingora is to know of connections.
    pub(super) fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    /// A slot for the requests of an HTTP/1 connection, one after the other, or of an HTTP/2 stream.
    pub(super) fn seat(&self) -> StreamSlot {
        self.streams.seat()
    }

    /// Serves one request, in the context in which it was decided on if that was done. `None` if nothing can follow it on its connection: giving a request up
    /// drops whatever belongs to it, which closes an HTTP/1 connection and resets an HTTP/2 stream.
    pub(super) async fn serve(
        &self,
        session: ServerSession,
        shutdown: &ShutdownWatch,
        seat: &StreamSlot,
        context: Option<Box<Context>>,
    ) -> Option<ReusedHttpStream> {
        let serving = hand_over(context, self.proxy.process_new_http(session, shutdown));
        seat.attend(serving).await.flatten()
    }
}
