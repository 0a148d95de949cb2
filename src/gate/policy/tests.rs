use serde_json::json;

use super::*;

/// A rule that asks for these scopes, roles and values of the claim `tenant`.
fn rule(scopes: &[&str], any_role: &[&str], tenants: &[&str]) -> Authenticate {
    let claims = match tenants {
        [] => Vec::new(),
        some => vec![ClaimRule {
            path: "tenant".into(),
            accepted: some.iter().map(|tenant| json!(tenant)).collect(),
        }],
    };
    Authenticate {
        carriers: vec![Carrier::Bearer, Carrier::Session],
        issuers: Vec::new(),
        requirement: Requirement {
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
            scopes_text: "".into(),
            any_role: any_role.iter().map(|role| (*role).into()).collect(),
            claims,
        },
        when_stale: WhenStale { safe_age_max_ms: 5, unsafe_age_max_ms: 5 },
    }
}

#[track_caller]
fn assert_stricter(strict: Authenticate, lax: Authenticate) {
    assert!(strict.implies(&lax), "{strict:?} lets pass what {lax:?} does not");
    assert!(!lax.implies(&strict), "{lax:?} is as strict as {strict:?}");
}

#[test]
fn whoever_passes_the_stricter_rule_passes_the_other() {
    assert_stricter(rule(&["a", "b"], &[], &[]), rule(&["b"], &[], &[]));
    assert_stricter(rule(&["a"], &[], &[]), rule(&[], &[], &[]));
    assert_stricter(rule(&[], &["r"], &[]), rule(&[], &["r", "s"], &[]));
    assert_stricter(rule(&[], &["r", "s"], &[]), rule(&[], &[], &[]));
    assert_stricter(rule(&[], &[], &["x"]), rule(&[], &[], &["x", "y"]));
    assert_stricter(rule(&[], &[], &["x"]), rule(&[], &[], &[]));
    let lax = || rule(&[], &[], &[]);
    assert_stricter(Authenticate { carriers: vec![Carrier::Session], ..lax() }, lax());
    for (safe_age_max_ms, unsafe_age_max_ms) in [(4, 5), (5, 4)] {
        let when_stale = WhenStale { safe_age_max_ms, unsafe_age_max_ms };
        assert_stricter(Authenticate { when_stale, ..lax() }, lax());
    }
}

#[test]
fn rules_that_differ_otherwise_do_not_imply_each_other() {
    for (one, other) in [
        (rule(&["a"], &[], &[]), rule(&["b"], &[], &[])),
        (rule(&["a"], &[], &[]), rule(&[], &["r"], &[])),
        (rule(&[], &["r"], &[]), rule(&[], &["s"], &[])),
        (rule(&[], &[], &["x"]), rule(&[], &[], &["y"])),
    ] {
        assert!(!one.implies(&other) && !other.implies(&one), "{one:?} {other:?}");
        assert!(one.implies(&one) && other.implies(&other));
    }
}

#[test]
fn public_is_implied_by_all_and_implies_only_itself() {
    let rule = Policy::Authenticate(rule(&[], &[], &[]));
    assert!(rule.implies(&Policy::Public) && Policy::Public.implies(&Policy::Public));
    assert!(!Policy::Public.implies(&rule));
}
