//! LOG IN. `POST login`: what somebody shows → who they are, by a method; a session for that, and
//! the tokens that come with it.
//!
//! The methods are behind one seam, `outcome::LoginOutcome`: none knows of sessions.

mod create_session;
mod deliver;
mod handoff;
pub(crate) mod login_endpoint;
mod login_request;
pub mod metrics;
mod name_and_password;
mod outcome;
pub(crate) mod page;
mod password_file;
mod password_methods;
mod return_to;
pub(crate) mod service;

/// The longest place to come back to that is accepted, in bytes.
pub const RETURN_TO_BYTES_MAX: usize = return_to::BYTES_MAX;
