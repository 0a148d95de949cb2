//! HTTP/2 towards clients: the same judgement on every stream, and frames that no library would send.

mod conformance;
mod frames;
mod lifetime;
mod malformed;
mod slow_bodies;
mod streams;
