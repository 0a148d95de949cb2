//! HOLD. Sessions of those who are logged in: shown to them, and ended.

mod budgets;
mod devices;
pub(crate) mod logout;
pub(crate) mod next_second;
pub(crate) mod own_sessions;
pub mod revocation;
pub(crate) mod service;
