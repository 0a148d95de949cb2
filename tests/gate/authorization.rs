//! What those who are let in may do.

use serde_json::json;

use crate::harness::client::{Answer, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::Upstream;

/// The standard gateway, with routes that overlap and ask for more than its own do.
fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let more = "
  - name: admin
    match: { path: /public/admin }
    upstream: behind
    authenticate: [bearer]
    require: { any_role: [admin] }
  - name: writing
    match: { path: '/items/{id}', methods: [PUT, DELETE] }
    upstream: behind
    authenticate: [bearer]
    require: { scopes: [items:write, items:list] }
  - name: reading
    match: { path: '/items/{id}', methods: [GET] }
    upstream: behind
    public: true
  - name: tenant
    match: { path: /tenant }
    upstream: behind
    authenticate: [bearer]
    require: { claims: { tenant: [acme, globex], /org/level: [3] } }
";
    let gateway = Gateway::start(&(standard(&upstream) + more));
    (upstream, gateway)
}

fn denied(answer: &Answer) -> (u16, String, Option<&str>) {
    (answer.status, answer.slug(), answer.field("www-authenticate"))
}

#[test]
fn missing_scope_is_denied_and_the_challenge_lists_all_that_are_required() {
    let (upstream, gateway) = start();
    for scope in ["", "items:list", "items:write items:lists"] {
        let bearer = bearer(&token(json!({ "scope": scope })));
        let fields = [("Authorization", bearer.as_str())];
        let answer = gateway.exchange(request("PUT", "/items/7", &fields, "x"));
        let challenge = "Bearer realm=\"portcullis\", error=\"insufficient_scope\", \
                         scope=\"items:write items:list\"";
        assert_eq!(denied(&answer), (403, "scope_missing".into(), Some(challenge)), "{scope}");
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn all_scopes_open_the_route() {
    let (_upstream, gateway) = start();
    let bearer = bearer(&token(json!({"scope": "items:list other items:write"})));
    let answer = gateway.exchange(request("PUT", "/items/7", &[("Authorization", &bearer)], "x"));
    assert_eq!(answer.status, 200);
}

/// What would be enough is nobody's business who does not hold it.
#[test]
fn missing_role_is_denied_without_saying_which_would_do() {
    let (upstream, gateway) = start();
    for roles in [json!(["clerk"]), json!([]), json!(null)] {
        let answer = gateway.get_as("/public/admin", &token(json!({ "roles": roles })));
        assert_eq!(denied(&answer), (403, "role_missing".into(), None), "{roles}");
        assert!(!answer.body.contains("admin"), "{}", answer.body);
    }
    assert!(upstream.received().is_empty());
    let answer = gateway.get_as("/public/admin", &token(json!({"roles": ["clerk", "admin"]})));
    assert_eq!(answer.status, 200);
}

#[test]
fn mismatched_claim_is_denied_without_saying_which_value_would_do() {
    let (upstream, gateway) = start();
    let good = json!({"tenant": "acme", "org": {"level": 3}});
    for changes in [
        json!({"tenant": "initech"}),
        json!({"tenant": null}),
        json!({"org": {"level": 2}}),
        json!({"org": null}),
    ] {
        let mut claims = good.clone();
        claims.as_object_mut().expect("claims").extend(changes.as_object().expect("c").clone());
        let answer = gateway.get_as("/tenant", &token(claims));
        assert_eq!(denied(&answer), (403, "claim_mismatch".into(), None), "{changes}");
        assert!(!answer.body.contains("acme"), "{}", answer.body);
    }
    assert!(upstream.received().is_empty());
    assert_eq!(gateway.get_as("/tenant", &token(good)).status, 200);
}

#[test]
fn method_that_no_route_of_the_path_knows_is_denied_with_those_that_are_known() {
    let (upstream, gateway) = start();
    for (path, allow) in [("/items/7", "DELETE, GET, HEAD, PUT"), ("/orders/7", "GET, HEAD, POST")]
    {
        for method in ["PATCH", "OPTIONS", "get"] {
            let answer = gateway.exchange(request(method, path, &[], ""));
            assert_eq!(denied(&answer), (405, "method_not_allowed".into(), None), "{method}");
            assert_eq!(answer.field("allow"), Some(allow), "{method} {path}");
        }
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn each_method_of_a_path_has_its_own_policy() {
    let (_upstream, gateway) = start();
    assert_eq!(gateway.exchange(get("/items/7", &[])).status, 200);
    for method in ["PUT", "DELETE"] {
        let answer = gateway.exchange(request(method, "/items/7", &[], ""));
        assert_eq!(answer.slug(), "credential_absent", "{method}");
    }
}

#[test]
fn public_tree_does_not_open_what_a_more_specific_route_protects() {
    let (upstream, gateway) = start();
    assert_eq!(gateway.exchange(get("/public/admin2", &[])).status, 200);
    let before = upstream.received().len();
    for path in ["/public/admin", "/public/admin?x=/public/a", "/public/%61dmin"] {
        let answer = gateway.exchange(get(path, &[]));
        assert!(matches!(answer.status, 400 | 401), "{path}: {answer:?}");
    }
    assert_eq!(upstream.received().len(), before);
}

/// Whoever is known but not permitted is told so; asking again with the same token is no use.
#[test]
fn denial_of_a_known_principal_is_403_and_never_401() {
    let (_upstream, gateway) = start();
    for path in ["/public/admin", "/tenant"] {
        let known = token(json!({}));
        for _ in 0..2 {
            assert_eq!(gateway.get_as(path, &known).status, 403, "{path}");
        }
    }
}

/// Whoever reads the log wants to know who tried.
#[test]
fn principal_of_a_forbidden_request_is_logged() {
    let (_upstream, gateway) = start();
    gateway.get_as("/public/admin", &token(json!({"sub": "bob", "jti": "j-7"})));
    let line = gateway.logged(|line| line["slug"] == "role_missing");
    assert_eq!((&line["route"], &line["issuer"]), (&json!("admin"), &json!("test")));
    assert_eq!((&line["subject"], &line["token_id"]), (&json!("bob"), &json!("j-7")), "{line}");
}
