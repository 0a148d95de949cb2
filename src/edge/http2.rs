//! What one HTTP/2 connection may ask of the gateway.

use pingora::protocols::http::v2::server::{H2Options, default_h2_options};

use crate::config::Limits;

/// How much of a body a client may send on a stream before somebody reads it.
const WINDOW_BYTES: u32 = 64 * 1024 - 1;

/// How much of all bodies of a connection: an upload that its upstream does not take must not hold up the
/// others.
const CONNECTION_WINDOW_BYTES: u32 = 16 * WINDOW_BYTES;

/// How much of an answer is gathered for a stream while the connection does not take it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The settings of a connection that begins now.
pub(super) fn options(limits: &Limits) -> H2Options {
    let mut options = default_h2_options();
    options.max_header_list_size(u32::try_from(limits.head.bytes_max).unwrap_or(u32::MAX));
    options.max_concurrent_streams(limits.http2_streams_max);
    options.initial_window_size(WINDOW_BYTES);
    options.initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    options.max_send_buffer_size(SEND_BUFFER_BYTES);
    options
}
