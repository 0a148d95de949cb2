//! What operators cut off and lift, by the admin API.

use serde_json::{Value, json};

use crate::harness::client::Answer;
use crate::harness::fleet::{self, post};
use crate::harness::gateway::Gateway;

/// Revokes something; its id.
#[track_caller]
pub(crate) fn revoke(gateway: &Gateway, draft: &Value) -> String {
    let answer = post(gateway, draft);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn subject(name: &str) -> Value {
    json!({ "scope": "subject", "subject": name })
}

/// Revokes a subject on all gateways; the id.
#[track_caller]
pub(crate) fn revoke_on_all(gateway: &Gateway, name: &str) -> String {
    revoke(gateway, &json!({ "scope": "subject", "subject": name, "wait_ms": 5000 }))
}

pub(crate) fn lift(gateway: &Gateway, id: &str) -> Answer {
    fleet::delete(gateway, &format!("/v1/revocations/{id}?wait_ms=5000&reason=a%20mistake"))
}

/// Lifts one, which must be confirmed by so many gateways.
#[track_caller]
pub(crate) fn lift_on_all(gateway: &Gateway, id: &str, count: usize) {
    let answer = lift(gateway, id);
    let told = answer.json();
    assert_eq!((answer.status, &told["durable"]), (200, &json!(true)), "{answer:?}");
    assert_eq!((&told["confirmed"], &told["gateways"]), (&json!(count), &json!(count)), "{told}");
    assert_eq!(told["lifts"], json!([id]), "{told}");
}

pub(crate) fn listing(gateway: &Gateway) -> Value {
    fleet::admin(gateway, "/v1/revocations?limit=1000").expect("a list")
}
