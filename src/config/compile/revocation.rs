//! `revocation`, and `when_stale` of routes: how old the list may be for a request to pass.

use std::time::Duration;

use serde_yaml::Value;

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::config::{RevocationSettings, WhenUnreachable, raw};
use crate::gate::policy::WhenStale;

const MAX_STALENESS_DEFAULT: Duration = Duration::from_secs(5);

/// With an older list, revocation would no longer be reliable.
const MAX_STALENESS_MAX: Duration = Duration::from_secs(3600);

const ENTRIES_DEFAULT: u64 = 5_000_000;
/// About 40 GB of memory.
const ENTRIES_MAX: u64 = 100_000_000;

const REMEDY: &str = "Write deny, allow, deny_writes or { allow_for: 30s }";

/// The default of routes without `when_stale`, and the times from which other rules are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct StaleRules {
    max_staleness_ms: u64,
    pub(super) default: WhenStale,
}

impl StaleRules {
    fn deny(max_staleness_ms: u64) -> WhenStale {
        WhenStale { safe_age_max_ms: max_staleness_ms, unsafe_age_max_ms: max_staleness_ms }
    }
}

impl Compiler<'_> {
    /// `None` next to the rules if a problem was reported.
    pub(super) fn revocation(
        &mut self,
        raw: raw::Revocation,
    ) -> (Option<RevocationSettings>, StaleRules) {
        let field = FieldPath::default().key("revocation");
        let raw::Revocation { max_staleness, when_stale, max_entries, accept_local } = raw;
        let staleness_field = field.key("max_staleness");
        let max_staleness =
            match self.seconds(max_staleness, &staleness_field, MAX_STALENESS_DEFAULT) {
                Some(long) if long > MAX_STALENESS_MAX => self.error(
                    &staleness_field,
                    "the time is longer than an hour",
                    "Write 1h or less",
                ),
                other => other,
            };
        let max_staleness_ms = millis(max_staleness.unwrap_or(MAX_STALENESS_DEFAULT));
        let deny = StaleRules::deny(max_staleness_ms);
        let mut rules = StaleRules { max_staleness_ms, default: deny };
        let default = self.when_stale(when_stale, &field.key("when_stale"), rules);
        rules.default = default.unwrap_or(deny);
        let entries_max = max_entries.unwrap_or(ENTRIES_DEFAULT);
        let entries_max = if (1..=ENTRIES_MAX).contains(&entries_max) {
            Some(entries_max)
        } else {
            let fact = format!("{entries_max} is out of range");
            let remedy = format!("Write a number from 1 to {ENTRIES_MAX}");
            self.error(&field.key("max_entries"), &fact, &remedy)
        };
        let compiled = || {
            default?;
            Some(RevocationSettings {
                max_staleness: max_staleness?,
                entries_max: entries_max?,
                unreachable: match accept_local {
                    Some(true) => WhenUnreachable::AcceptLocally,
                    Some(false) | None => WhenUnreachable::Refuse,
                },
            })
        };
        (compiled(), rules)
    }

    /// Compiles `when_stale`, of a route or the default.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is serde_yaml's")]
    pub(super) fn when_stale(
        &mut self,
        value: Option<Value>,
        field: &FieldPath,
        rules: StaleRules,
    ) -> Option<WhenStale> {
        let Some(value) = value else { return Some(rules.default) };
        let deny = StaleRules::deny(rules.max_staleness_ms);
        let mapped = match &value {
            Value::Mapping(mapping) if mapping.len() == 1 => mapping.get("allow_for"),
            _ => None,
        };
        match (value.as_str(), mapped) {
            (Some("deny"), _) => Some(deny),
            (Some("allow"), _) => {
                Some(WhenStale { safe_age_max_ms: u64::MAX, unsafe_age_max_ms: u64::MAX })
            }
            (Some("deny_writes"), _) => Some(WhenStale { safe_age_max_ms: u64::MAX, ..deny }),
            (_, Some(duration)) => {
                let field = field.key("allow_for");
                let text = match duration {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return self.error(&field, "the value is not a duration", REMEDY),
                };
                let beyond = millis(self.duration(Some(text), &field, Duration::ZERO)?);
                Some(StaleRules::deny(rules.max_staleness_ms.saturating_add(beyond)))
            }
            (Some(word), None) => self.error(field, &format!("`{word}` is not known"), REMEDY),
            (None, None) => self.error(field, "the value is not one of the known answers", REMEDY),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
