//! What a reload takes over of tokens.

use super::*;
use crate::config::compile::tests::whole::CLIENTS;
use crate::config::tokens::OWN_ISSUER;
use crate::gate::internal::InternalToken;
use crate::gate::issuer::Issuer;

fn own(configuration: &Running) -> &Arc<Issuer> {
    configuration.own_issuer().expect("it issues tokens")
}

/// The internal token of a route.
fn internal<'c>(configuration: &'c Running, name: &str) -> Option<&'c Arc<InternalToken>> {
    let mut routes = configuration.gate.settings.routes.routes().iter();
    let route = routes.find(|route| &*route.name == name).expect("the route");
    configuration.gate.internal_tokens.get(route.internal_token?)
}

/// The gateway is one of the issuers, and its keys are not fetched.
#[test]
fn own_issuer_is_one_whose_keys_nobody_fetches() {
    let (directory, text) = whole();
    let configuration = compiled(directory.path(), &text, None);
    let (_, known) = configuration.gate.issuers.named("https://api.test").expect("it is known");
    assert!(Arc::ptr_eq(known, own(&configuration)));
    assert!(configuration.key_feeds.iter().all(|feed| &*feed.issuer != OWN_ISSUER));
    assert!(known.keys().current().is_none() && !known.keys().is_fixed());
}

/// Tokens that were made with them stay in use.
#[test]
fn internal_tokens_that_did_not_change_are_taken_over() {
    let kept = |from: &str, to: &str| {
        let (before, after) = recompiled(from, to);
        let kept = |name| {
            let (before, after) = (internal(&before, name), internal(&after, name));
            before.expect("one").id() == after.expect("one").id()
        };
        (kept("orders"), kept("any"))
    };
    assert_eq!(kept("path: /", "path: /elsewhere"), (true, true));
    assert_eq!(kept("lifetime: 15m", "lifetime: 16m"), (true, true));
    assert_eq!(kept("lifetime: 90s", "lifetime: 91s"), (false, true));
    assert_eq!(kept("audience: pages", "audience: papers"), (true, false));
    assert_eq!(kept("identity_bytes: 8KiB", "identity_bytes: 9KiB"), (false, false));
    // The tokens would have another issuer.
    let another = ("issuer: https://api.test", "issuer: https://gateway.test");
    assert_eq!(kept(another.0, another.1), (false, false));
}

#[test]
fn own_issuer_whose_rules_change_is_another_but_keeps_its_keys() {
    for (from, to, same) in [
        ("path: /", "path: /elsewhere", true),
        ("idle: 7d", "idle: 8d", true),
        // These are shorter than those of a client, which count.
        ("lifetime: 15m", "lifetime: 16m", true),
        ("lifetime: 20m", "lifetime: 21m", false),
        ("billing-api]", "invoices-api]", false),
        ("issuer: https://api.test", "issuer: https://gateway.test", false),
        ("X-Auth-Email", "X-Auth-Mail", false),
        ("identity_bytes: 8KiB", "identity_bytes: 9KiB", false),
    ] {
        let (directory, text) = whole();
        // The settings that a file gives.
        std::fs::write(directory.path().join("clients.yaml"), "[]").expect("a file");
        let text = text
            .replace("clients: [{ id: mobile, public: true }]", &format!("clients:\n{CLIENTS}"));
        let (before, after) = recompiled_in(directory.path(), &text, from, to);
        assert_eq!(Arc::ptr_eq(own(&before), own(&after)), same, "{to}");
        assert!(Arc::ptr_eq(own(&before).keys(), own(&after).keys()), "{to}");
    }
}
