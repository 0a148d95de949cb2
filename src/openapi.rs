//! DESCRIBE. The HTTP APIs of the gateway as OpenAPI 3.1 documents, for generators of clients and
//! for the reference.
//!
//! The descriptions stand apart from the handlers. Tests hold them: every documented operation is
//! called on a running gateway, every answer must match its schema, and every route of the admin
//! listener and every endpoint of the gateway must be documented.

pub mod admin;
pub mod gateway;
