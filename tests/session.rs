//! Cookie sessions: a credential like a token, kept by the store, known from memory, ended by the
//! server.

mod api_keys;
mod credential;
mod csrf;
mod ends;
mod forwarding;
mod http2;
mod logout;
mod own_sessions;
mod rotation;
mod streams;
