//! HOLD. Users' sessions: shows them to their users, and ends them.

mod budgets;
mod devices;
pub(crate) mod logout;
pub(crate) mod next_second;
pub(crate) mod own_sessions;
pub mod revocation;
pub(crate) mod service;
