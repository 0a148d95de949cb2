//! `api_keys` → which header carries them, and how long they live.

use std::time::Duration;

use http::HeaderName;

use super::compiler::{Compiler, whole_seconds};
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::raw;
use crate::gate::forward::IdentityTemplate;

const HEADER_DEFAULT: &str = "X-Api-Key";
const LIFETIME_DEFAULT: Duration = Duration::from_hours(90 * 24);
const LIFETIME_MIN: Duration = Duration::from_hours(24);
/// A year, and time to switch to the next key.
const LIFETIME_MAX: Duration = Duration::from_hours(400 * 24);

/// The rules for API keys.
#[derive(Debug)]
pub(super) struct ApiKeyTerms {
    pub(super) header: HeaderName,
    pub(super) lifetime_max_s: i64,
}

impl Compiler<'_> {
    /// Absent if API keys are not enabled.
    pub(super) fn api_keys(
        &mut self,
        raw: Option<raw::ApiKeys>,
        identity: Option<&IdentityTemplate>,
    ) -> Presence<ApiKeyTerms> {
        let field = FieldPath::default().key("api_keys");
        match raw {
            Some(raw) => Presence::of(self.present_api_keys(raw, &field, identity)),
            None if self.is_reported(&field) => Presence::Broken,
            None => Presence::Absent,
        }
    }

    fn present_api_keys(
        &mut self,
        raw: raw::ApiKeys,
        field: &FieldPath,
        identity: Option<&IdentityTemplate>,
    ) -> Option<ApiKeyTerms> {
        let raw::ApiKeys { header, max_lifetime } = raw;
        let header = header.unwrap_or_else(|| HEADER_DEFAULT.to_owned());
        let header_field = field.key("header");
        let header = self.header_beside(&header, &header_field, HEADER_DEFAULT, identity);
        let lifetime_field = field.key("max_lifetime");
        let lifetime_max = self.duration(max_lifetime, &lifetime_field, LIFETIME_DEFAULT)?;
        if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime_max) {
            let fact = "the lifetime is out of range";
            return self.error(&lifetime_field, fact, "Write 1d to 400d");
        }
        let header = HeaderName::from_bytes(header?.as_str().as_bytes()).ok()?;
        Some(ApiKeyTerms { header, lifetime_max_s: whole_seconds(lifetime_max) })
    }
}
