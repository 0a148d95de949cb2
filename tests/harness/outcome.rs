//! What a gateway says to a credential, in short: the status, and the slug of a denial.

use super::client::Answer;

/// Status and slug. What is no denial has none.
#[track_caller]
pub(crate) fn outcome(answer: &Answer) -> (u16, String) {
    let slug = if answer.status < 400 { String::new() } else { answer.slug() };
    (answer.status, slug)
}

/// What comes of a credential that is accepted.
pub(crate) fn accepted() -> (u16, String) {
    (200, String::new())
}

/// What comes of one that is denied.
pub(crate) fn denied(status: u16, slug: &str) -> (u16, String) {
    (status, slug.to_owned())
}
