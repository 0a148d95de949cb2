//! The smallest Pingora proxy: what the framework costs before a gateway adds anything.
//!
//! Built as a cargo example so that it shares the gateway's release profile and allocator;
//! the difference between the two is then the gateway's own work and nothing else.
//!
//! Usage: `bare_proxy LISTEN_ADDRESS UPSTREAM_ADDRESS`

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct BareProxy {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for BareProxy {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bare_proxy LISTEN_ADDRESS UPSTREAM_ADDRESS");
        std::process::exit(2);
    };
    let Ok(upstream) = upstream.parse() else {
        eprintln!("bare_proxy: `{upstream}` is not an address with a port");
        std::process::exit(2);
    };

    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, BareProxy { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
