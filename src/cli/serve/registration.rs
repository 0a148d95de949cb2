//! Registers the metrics of all rooms in one registry, so that each room can be made with its own.

use super::metrics::ProgramMetrics;
use crate::admin::token_cache::metrics::TokenCacheMetrics;
use crate::edge::metrics::EdgeMetrics;
use crate::feed::jwks::metrics::KeySetMetrics;
use crate::feed::metrics::StoreMetrics;
use crate::feed::revocations::metrics::RevocationMetrics;
use crate::feed::sessions::metrics::SessionMetrics;
use crate::feed::signing::metrics::SigningMetrics;
use crate::login::metrics::LoginMetrics;
use crate::oauth::metrics::TokenMetrics;
use crate::telemetry::access_log::metrics::AccessLogMetrics;
use crate::telemetry::registry::MetricRegistry;
use crate::telemetry::routes::metrics::RouteMetrics;

/// The metrics of all rooms.
pub(super) struct AllMetrics {
    /// Where they are exposed.
    pub(super) registry: MetricRegistry,
    pub(super) edge: EdgeMetrics,
    pub(super) routes: RouteMetrics,
    pub(super) program: ProgramMetrics,
    pub(super) token_cache: TokenCacheMetrics,
    pub(super) access_log: AccessLogMetrics,
    pub(super) store: StoreMetrics,
    pub(super) key_sets: KeySetMetrics,
    pub(super) revocations: RevocationMetrics,
    pub(super) sessions: SessionMetrics,
    pub(super) signing: SigningMetrics,
    pub(super) tokens: TokenMetrics,
    pub(super) logins: LoginMetrics,
}

impl AllMetrics {
    /// Registers them all.
    ///
    /// # Errors
    ///
    /// If two families have the same name, which a test would have shown.
    pub(super) fn register() -> prometheus::Result<Self> {
        let mut registry = MetricRegistry::default();
        registry.register_resource_usage()?;
        let edge = EdgeMetrics::register(&mut registry)?;
        edge.begin();
        let routes = RouteMetrics::register(&mut registry)?;
        let program = ProgramMetrics::register(&mut registry)?;
        program.begin();
        let token_cache = TokenCacheMetrics::register(&mut registry)?;
        let access_log = AccessLogMetrics::register(&mut registry)?;
        let store = StoreMetrics::register(&mut registry)?;
        let key_sets = KeySetMetrics::register(&mut registry)?;
        let revocations = RevocationMetrics::register(&mut registry)?;
        let sessions = SessionMetrics::register(&mut registry)?;
        let signing = SigningMetrics::register(&mut registry)?;
        let tokens = TokenMetrics::register(&mut registry)?;
        let logins = LoginMetrics::register(&mut registry)?;
        Ok(Self {
            registry,
            edge,
            routes,
            program,
            token_cache,
            access_log,
            store,
            key_sets,
            revocations,
            sessions,
            signing,
            tokens,
            logins,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The reference is generated from the listing.
    #[test]
    fn every_family_is_listed_under_the_room_that_declares_it() {
        let all = AllMetrics::register().expect("registered");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut rooms = Vec::new();
        for family in all.registry.families() {
            assert!(family.name.starts_with("portcullis_"), "{family:?}");
            assert!(family.help.ends_with('.'), "{family:?}");
            let file = sources.join(&family.room).join("metrics.rs");
            let text = std::fs::read_to_string(file).expect("the room's metrics");
            assert!(text.contains(&format!("\"{}\"", family.name)), "{family:?}");
            if rooms.last() != Some(&&*family.room) {
                rooms.push(&*family.room);
            }
        }
        let expected = [
            "edge",
            "telemetry/routes",
            "cli/serve",
            "admin/token_cache",
            "telemetry/access_log",
            "feed",
            "feed/jwks",
            "feed/revocations",
            "feed/sessions",
            "feed/signing",
            "oauth",
            "login",
        ];
        assert_eq!(rooms, expected);
    }
}
