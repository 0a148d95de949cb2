//! The decision alone, without a socket: what the gate costs per request.
fn main() {}
