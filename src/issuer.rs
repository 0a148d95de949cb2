//! ISSUE. Keys, and the tokens that they sign: access tokens for clients, and internal tokens for
//! upstreams. Refresh tokens, which are not signed but looked up in the store. Also keys and tokens
//! for development, so that a newcomer needs no identity provider.

pub mod access;
pub mod internal;
pub mod key_pairs;
pub mod random;
pub mod refresh;
pub mod ring;
pub mod ring_document;
pub mod seal;
pub mod signer;
pub mod signing_set;
