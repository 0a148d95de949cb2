//! What a route requires of a principal.

use serde_json::{Map, Value, json};

use super::{CompiledGate, PERMITTED, token};

#[test]
fn all_scopes_are_required_wherever_and_however_they_are_written() {
    let with = |name: &str, value: Value| {
        token(json!(Map::from_iter([("scope".into(), Value::Null), (name.into(), value)])))
    };
    CompiledGate::standard("", "require: {scopes: [orders:read, orders:write]}").holds([
        ("scope as text", with("scope", json!("orders:write x orders:read")), PERMITTED),
        ("scope as a list", with("scope", json!(["orders:read", "orders:write"])), PERMITTED),
        ("scp as text", with("scp", json!("orders:read orders:write")), PERMITTED),
        ("scp as a list", with("scp", json!(["orders:read", "orders:write"])), PERMITTED),
        ("one of them", with("scope", json!("orders:read")), "scope_missing"),
        ("none", with("scope", json!(null)), "scope_missing"),
        ("empty", with("scope", json!("")), "scope_missing"),
        ("in another case", with("scope", json!("ORDERS:READ orders:write")), "scope_missing"),
        ("longer", with("scope", json!("orders:read2 orders:write")), "scope_missing"),
        ("with commas", with("scope", json!("orders:read,orders:write")), "scope_missing"),
        ("in another claim", with("scopes", json!("orders:read orders:write")), "scope_missing"),
    ]);
}

#[test]
fn one_role_is_enough_and_one_is_needed() {
    let with = |roles: Value| token(json!({ "roles": roles }));
    CompiledGate::standard("", "require: {any_role: [admin, clerk]}").holds([
        ("the first", with(json!(["admin"])), PERMITTED),
        ("the second", with(json!(["guest", "clerk"])), PERMITTED),
        ("as text", with(json!("clerk")), PERMITTED),
        ("others", with(json!(["guest"])), "role_missing"),
        ("none", with(json!([])), "role_missing"),
        ("absent", with(json!(null)), "role_missing"),
        ("in another case", with(json!(["Clerk"])), "role_missing"),
        ("as text with a space", with(json!("admin clerk")), "role_missing"),
    ]);
}

#[test]
fn roles_are_read_where_the_issuer_puts_them_and_nowhere_else() {
    let gate = CompiledGate::standard(
        "roles: /resource_access/orders~1api/roles",
        "require: {any_role: [clerk]}",
    );
    let nested = json!({"orders/api": {"roles": ["clerk"]}});
    gate.holds([
        ("there", token(json!({"roles": null, "resource_access": nested})), PERMITTED),
        ("elsewhere", token(json!({"roles": ["clerk"]})), "role_missing"),
        ("not quite there", token(json!({"resource_access": {"roles": "clerk"}})), "role_missing"),
    ]);
}

#[test]
fn claim_must_equal_or_contain_an_accepted_value() {
    let require = "require: {claims: {tenant: [acme, globex], level: 3, /org/active: true}}";
    let good = json!({"tenant": "acme", "level": 3, "org": {"active": true}});
    let with = |name: &str, value: Value| {
        let mut changes = good.clone();
        changes[name] = value;
        token(changes)
    };
    CompiledGate::standard("", require).holds([
        ("all of them", with("tenant", json!("acme")), PERMITTED),
        ("the other value", with("tenant", json!("globex")), PERMITTED),
        ("within a list", with("tenant", json!(["x", "globex"])), PERMITTED),
        ("another value", with("tenant", json!("initech")), "claim_mismatch"),
        ("in another case", with("tenant", json!("Acme")), "claim_mismatch"),
        ("a part of it", with("tenant", json!("acm")), "claim_mismatch"),
        ("a list without it", with("tenant", json!(["x"])), "claim_mismatch"),
        ("an empty list", with("tenant", json!([])), "claim_mismatch"),
        ("a nested list", with("tenant", json!([["acme"]])), "claim_mismatch"),
        ("absent", with("tenant", json!(null)), "claim_mismatch"),
        ("a number as text", with("level", json!("3")), "claim_mismatch"),
        ("another number", with("level", json!(4)), "claim_mismatch"),
        ("false behind the pointer", with("org", json!({"active": false})), "claim_mismatch"),
        ("text behind the pointer", with("org", json!({"active": "true"})), "claim_mismatch"),
        ("the pointer leads nowhere", with("org", json!("active")), "claim_mismatch"),
        ("the pointer as a name", with("/org/active", json!(true)), PERMITTED),
    ]);
}

#[test]
fn claim_named_like_a_pointer_does_not_stand_in_for_what_the_pointer_finds() {
    let gate = CompiledGate::standard("", "require: {claims: {/org/active: true}}");
    assert_eq!(gate.slug(&token(json!({"/org/active": true}))), "claim_mismatch");
}

/// The order tells the caller what to ask for first, and clients rely on it.
#[test]
fn scopes_are_asked_before_roles_and_roles_before_claims() {
    let require = "require: {scopes: [s], any_role: [r], claims: {c: [v]}}";
    CompiledGate::standard("", require).holds([
        ("nothing", token(json!({})), "scope_missing"),
        ("the scope", token(json!({"scope": "s"})), "role_missing"),
        ("and the role", token(json!({"scope": "s", "roles": "r"})), "claim_mismatch"),
        ("and the claim", token(json!({"scope": "s", "roles": "r", "c": "v"})), PERMITTED),
    ]);
}
