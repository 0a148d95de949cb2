//! Clients behind TLS, over HTTP/1.1 and HTTP/2.

mod certificates;
mod conformance;
mod frames;
mod handshakes;
mod http1;
mod http2;
mod lifetime;
mod malformed;
mod slow_bodies;
mod stop;
