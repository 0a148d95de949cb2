//! What stands between a client's connection and those who read it: writes are gathered, bytes can be
//! put back, one request is read at a time, and a client that is too slow is given up.

pub(super) mod inbound;
pub(super) mod pace;
pub(super) mod prefixed_stream;
pub(super) mod send_watch;
pub(super) mod wire;
