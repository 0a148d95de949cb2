//! Examples that nobody could make up: passwords, tokens that are good, ids of sessions.

use serde_json::{Map, Value, json};

use crate::harness::gateway::Gateway;
use crate::harness::login::{Login, PASSWORD};
use crate::interop::{WITH_SECRET, log_in, run, text};

const FORM: &str = "application/x-www-form-urlencoded";

/// The document with examples that this gateway answers with success. A session is that of the user,
/// so that they can end it; the rest is of others, who do not log out.
pub(super) fn with_examples(document: &Value, gateway: &Gateway, user: &str) -> Value {
    let mut document = document.clone();
    let paths = &mut document["paths"];
    let login =
        |deliver: &str| json!({ "username": "dave", "password": PASSWORD, "deliver": deliver });
    let logins = [login("session"), login("tokens"), login("both")];
    for kind in ["application/json", FORM] {
        add(&mut paths["/auth/login"]["post"], kind, &logins);
    }
    let client = json!({ "client_id": WITH_SECRET, "client_secret": PASSWORD });
    let grants = [
        merged(&client, json!({ "grant_type": "client_credentials" })),
        json!({ "grant_type": "refresh_token", "refresh_token": refresh_token(gateway) }),
    ];
    add(&mut paths["/auth/token"]["post"], FORM, &grants);
    let revoked = [json!({ "token": refresh_token(gateway) })];
    add(&mut paths["/auth/revoke"]["post"], FORM, &revoked);
    let api_key = run(gateway, &["api-keys", "create", "--subject", "robot"]);
    let presented =
        [text(&log_in(gateway)["access_token"]), refresh_token(gateway), api_key.trim().to_owned()];
    let presented = presented.map(|token| merged(&client, json!({ "token": token })));
    add(&mut paths["/auth/introspect"]["post"], FORM, &presented);
    let parameters = &mut paths["/auth/sessions/{id}"]["delete"]["parameters"];
    let parameters = parameters.as_array_mut().expect("parameters");
    let id = parameters.iter_mut().find(|parameter| parameter["name"] == "id").expect("the id");
    id["example"] = json!(Login::new(gateway.address(), user).id);
    document
}

/// Adds examples to the body of an operation.
fn add(operation: &mut Value, kind: &str, values: &[Value]) {
    let named = values.iter().enumerate();
    let named = named.map(|(at, value)| (at.to_string(), json!({ "value": value })));
    operation["requestBody"]["content"][kind]["examples"] = Value::Object(Map::from_iter(named));
}

fn merged(left: &Value, right: Value) -> Value {
    let (left, right) = (left.as_object().cloned(), right.as_object().cloned());
    Value::Object(left.into_iter().chain(right).flatten().collect())
}

fn refresh_token(gateway: &Gateway) -> String {
    text(&log_in(gateway)["refresh_token"])
}
