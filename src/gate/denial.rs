//! The one table that turns a refusal into HTTP.
//!
//! Every refusal has one slug. The slug appears in the body, the access log, the metric and the
//! trace. Its status and its challenge are decided in `denial/slug.rs` and nowhere else.

mod details;
mod slug;

pub use details::{Denial, Detail, REASON_BYTES_MAX, RETRY_AFTER_S};
pub use slug::{Challenge, Outcome, Slug};

#[cfg(test)]
mod tests;
