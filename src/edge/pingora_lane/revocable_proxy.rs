//! Pingora's proxy, each of whose requests can be ended from outside.

use std::sync::Arc;

use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::proxy_hooks::ProxyHooks;
use crate::edge::context::{Context, hand_over};
use crate::edge::revocation_sweep::{StreamSlot, Streams};

/// Serves requests, and gives up those whose principal has lapsed.
pub(in crate::edge) struct RevocableProxy {
    proxy: Arc<HttpProxy<ProxyHooks>>,
    streams: Arc<Streams>,
}

impl RevocableProxy {
    pub(in crate::edge) fn new(proxy: HttpProxy<ProxyHooks>, streams: Arc<Streams>) -> Self {
        Self { proxy: Arc::new(proxy), streams }
    }

    /// What Pingora is to know of connections.
    pub(in crate::edge) fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    /// A slot for the requests of an HTTP/1 connection, one after the other, or of an HTTP/2 stream.
    pub(in crate::edge) fn seat(&self) -> StreamSlot {
        self.streams.seat()
    }

    /// Serves one request, in the context in which it was decided on if that was done. `None` if nothing can follow it on its connection: giving a request up
    /// drops whatever belongs to it, which closes an HTTP/1 connection and resets an HTTP/2 stream.
    pub(in crate::edge) async fn serve(
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
