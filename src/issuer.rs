//! ISSUE. Keys, and what is signed with them: access tokens for clients, internal tokens for
//! upstreams; refresh tokens, which are not signed but known. Also keys and tokens for development,
//! so that a newcomer needs no identity provider.

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
