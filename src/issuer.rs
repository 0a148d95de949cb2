//! ISSUE. So far: keys and tokens for development, so that a newcomer needs no identity provider.

pub mod signing;
