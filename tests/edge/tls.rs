//! TLS towards clients: certificates, handshakes, HTTP/1.1 behind it, and its end.

mod certificates;
mod handshakes;
mod http1;
mod stop;
