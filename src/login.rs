//! LOG IN. `POST login`: a login method authenticates the user. The login creates a session for
//! them, and the tokens that come with it.
//!
//! All methods answer with `outcome::LoginOutcome`. None of them knows of sessions.

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

/// The longest place to return to that is accepted, in bytes.
pub const RETURN_TO_BYTES_MAX: usize = return_to::BYTES_MAX;
