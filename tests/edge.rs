//! What clients meet: listeners and connections, what is read and passed on, and how serving ends.

mod connection;
mod drain;
mod forward;
mod http2;
mod lanes;
mod streams;
mod tls;
