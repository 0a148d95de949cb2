//! What a reload takes over of sessions.

use super::*;

/// Whether the rules of sessions, and those in memory, were taken over.
fn kept_sessions(from: &str, to: &str) -> (bool, bool) {
    let (before, after) = recompiled(from, to);
    let (before, after) = (&before.gate.sessions, &after.gate.sessions);
    (Arc::ptr_eq(&before.rules, &after.rules), Arc::ptr_eq(&before.table, &after.table))
}

#[test]
fn sessions_that_are_not_concerned_are_taken_over() {
    for (from, to) in [
        ("path: /", "path: /elsewhere"),
        ("retries: 1", "retries: 2"),
        ("required_claims: [jti]", "required_claims: []"),
        ("base: /auth", "base: /account"),
        ("issuer: https://api.test", "issuer: https://gateway.test"),
        ("per_account: 10/15m", "per_account: 11/15m"),
        ("max_staleness: 5s", "max_staleness: 6s"),
        ("any_role: [admin, clerk]", "any_role: [admin]"),
    ] {
        assert_eq!(kept_sessions(from, to), (true, true), "{to}");
    }
}

/// What was built with the old rules must not be used with the new ones. It is built again, from
/// what the store holds.
#[test]
fn rules_of_sessions_that_change_are_others_and_the_table_stays() {
    for (from, to) in [
        ("name: sid", "name: other"),
        ("domain: api.test", "domain: app.api.test"),
        ("same_site: strict", "same_site: lax"),
        ("dangerous_insecure: true", "dangerous_insecure: false"),
        ("idle_timeout: 30m", "idle_timeout: 29m"),
        ("absolute_timeout: 12h", "absolute_timeout: 13h"),
        ("recheck: 5s", "recheck: 6s"),
        ("allowed_origins: [https://app.test,", "allowed_origins: [https://b.test,"),
        // The headers for upstreams, and the claims that are kept, are part of what is built.
        ("X-Auth-Email", "X-Auth-Mail"),
        ("tenant: [acme, 7, true]", "team: [acme, 7, true]"),
    ] {
        assert_eq!(kept_sessions(from, to), (false, true), "{to}");
    }
}

/// The supervisor refuses such a reload, because the feed fills the old table.
#[test]
fn table_of_another_size_is_another() {
    let kept = kept_sessions("cache_size: 256MiB", "cache_size: 128MiB");
    assert_eq!(kept, (true, false));
}
