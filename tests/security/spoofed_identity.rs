//! What clients send in the place of what only the gateway says, and identities that do not fit.

mod login_claims;
mod size;

use serde_json::{Value, json};

use crate::harness::client::{self, Answer, get};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, SECRET, api_key, ask, ask_with_key, assert_invalid_grant, log_in,
    post,
};
use crate::harness::login::{user, write_users};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::tokens::{bearer, payload, token};
use crate::harness::upstream::Received;

/// Spellings that some server takes for the same name.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_lowercase(), name.to_uppercase()];
    for separator in ["_", ".", "~", "+", "!"] {
        all.push(name.replace('-', separator));
        all.push(name.to_lowercase().replacen('-', separator, 1));
    }
    all
}

/// A gateway, and somebody with a token.
struct TokenHolder {
    site: IssuingFleet,
    alice: Granted,
}

impl TokenHolder {
    fn start() -> Self {
        let site = IssuingFleet::embedded("");
        let alice = Granted::log_in(site.at(1), "alice");
        Self { site, alice }
    }

    /// What reaches the upstream of a request with these fields that is let in.
    #[track_caller]
    fn forward(&self, path: &str, fields: &[(&str, &str)]) -> Received {
        let answer = client::exchange(self.site.at(1), get(path, fields));
        assert_eq!(answer.status, 200, "{answer:?}");
        self.site.upstream.last()
    }

    /// The same of somebody with a token.
    #[track_caller]
    fn forward_as(&self, path: &str, fields: &[(&str, &str)]) -> Received {
        let bearer = bearer(&self.alice.access);
        let fields = [&[("Authorization", &*bearer)], fields].concat();
        self.forward(path, &fields)
    }
}

fn mentions(received: &Received, text: &str) -> bool {
    received.head.to_ascii_lowercase().contains(text) || received.body.contains(text)
}

#[test]
fn internal_token_that_a_client_sends_is_stripped_in_every_spelling() {
    let holder = TokenHolder::start();
    for name in spellings("X-Internal-Token") {
        let fields = [(&*name, "mallory"), (&*name, "mallory")];
        let received = holder.forward("/public/x", &fields);
        assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
        for path in [HOME, "/bearers/x", "/kept/x", "/inside-bearer/x"] {
            let received = holder.forward_as(path, &fields);
            assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
        }
        let received = holder.forward_as("/inside/x", &fields);
        assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
        let [own] = received.values("x-internal-token")[..] else { panic!("{}", received.head) };
        assert_eq!(payload(own)["sub"], "u-17");
    }
}

/// RFC 9110 §7.6.1: what `Connection` names is deleted on the way, and must not be ours.
#[test]
fn internal_token_survives_a_client_that_names_it_in_connection() {
    let holder = TokenHolder::start();
    for connection in
        ["X-Internal-Token", "close, x-internal-token", "keep-alive, X-Internal-Token"]
    {
        let received = holder.forward_as("/inside/x", &[("Connection", connection)]);
        assert_eq!(received.values("x-internal-token").len(), 1, "{}", received.head);
    }
    for connection in ["Authorization", "close, authorization"] {
        let bearer = bearer(&holder.alice.access);
        let fields = [("Authorization", &*bearer), ("Connection", connection)];
        let answer = client::exchange(holder.site.at(1), get("/inside-bearer/x", &fields));
        // Refused, or told who it is; not let in as nobody.
        if answer.status == 200 {
            let received = holder.site.upstream.last();
            let [own] = received.values("authorization")[..] else { panic!("{}", received.head) };
            let own = own.strip_prefix("Bearer ").expect("a token");
            assert_eq!(payload(own)["sub"], "u-17");
        } else {
            assert!([400, 401].contains(&answer.status), "{answer:?}");
        }
    }
}

#[test]
fn internal_token_takes_the_place_of_what_the_client_sent() {
    let holder = TokenHolder::start();
    let received = holder.forward_as("/inside-bearer/x", &[]);
    let [own] = received.values("authorization")[..] else { panic!("{}", received.head) };
    assert!(!own.contains(&holder.alice.access), "{}", received.head);
    let answer = log_in(holder.site.at(1), "bob", json!({}), &[]);
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    let received = holder.forward("/inside-bearer/x", &[("Cookie", cookie)]);
    let [own] = received.values("authorization")[..] else { panic!("{}", received.head) };
    assert_eq!(payload(own.strip_prefix("Bearer ").expect("a token"))["sub"], "bob");
}

#[test]
fn api_key_reaches_no_upstream_in_any_spelling() {
    let holder = TokenHolder::start();
    let (key, _) = api_key(holder.site.gateway(1), json!({ "subject": "importer" }));
    let lower = key.to_ascii_lowercase();
    for name in spellings("X-Api-Key") {
        let received = holder.forward("/public/x", &[(&*name, &*key)]);
        assert!(!mentions(&received, &lower), "{name} in {}", received.head);
        for path in ["/bearers/x", "/inside/x", "/kept/x", HOME] {
            let received = holder.forward_as(path, &[(&*name, &*key)]);
            assert!(!mentions(&received, &lower), "{name}, {path}: {}", received.head);
        }
    }
    let received = holder.forward(HOME, &[("X-Api-Key", &*key)]);
    assert!(!mentions(&received, &lower), "{}", received.head);
    // But where it is to be kept, it is.
    let received = holder.forward("/kept/x", &[("X-Api-Key", &*key)]);
    assert_eq!(received.values("x-api-key"), [&*key]);
    // And not what else is sent under its name.
    let fields = [("X-Api-Key", &*key), ("X_Api_Key", "mallory"), ("X.Api.Key", "mallory")];
    let received = holder.forward("/kept/x", &fields);
    assert!(!mentions(&received, "mallory"), "{}", received.head);
}

#[test]
fn api_key_in_the_wrong_place_is_none() {
    let holder = TokenHolder::start();
    let at = holder.site.at(1);
    let (key, _) = api_key(holder.site.gateway(1), json!({ "subject": "importer" }));
    let (other, _) = api_key(holder.site.gateway(1), json!({ "subject": "other" }));
    let send = |fields: &[(&str, &str)]| outcome(&client::exchange(at, get(HOME, fields)));
    for two in [[&key, &key], [&key, &other]] {
        let fields = two.map(|key| ("X-Api-Key", key.as_str()));
        assert_eq!(send(&fields), denied(400, "credential_malformed"));
    }
    for joined in [format!("{key},{key}"), format!("{key}, {other}"), format!("{key} ;")] {
        assert_eq!(send(&[("X-Api-Key", &joined)]), denied(400, "credential_malformed"));
    }
    let bearer = bearer(&key);
    assert_eq!(send(&[("Authorization", &bearer)]), denied(401, "token_malformed"));
    for scheme in ["ApiKey", "Basic", "Key"] {
        let value = format!("{scheme} {key}");
        assert_eq!(send(&[("Authorization", &value)]), denied(401, "credential_absent"));
    }
    for name in ["__Host-session", "X-Api-Key", "api_key", "__Host-refresh"] {
        let cookie = format!("{name}={key}");
        assert_eq!(send(&[("Cookie", &cookie)]).0 / 100, 4, "{name}");
    }
    for path in [format!("/home/x?api_key={key}"), format!("/home/x?X-Api-Key={key}")] {
        let answer = client::exchange(at, get(&path, &[]));
        assert_eq!(outcome(&answer), denied(401, "credential_absent"));
    }
    for name in ["X_Api_Key", "X.Api.Key", "Api-Key", "X-Api-Keys"] {
        assert_eq!(send(&[(name, &key)]), denied(401, "credential_absent"), "{name}");
    }
    // Each letter counts.
    for wrong in [&key[1..], &key[..key.len() - 1], &key.to_uppercase(), &format!("{key}=")] {
        assert_eq!(ask_with_key(at, HOME, wrong), denied(400, "credential_malformed"), "{wrong}");
    }
    assert_eq!(ask_with_key(at, HOME, &key), accepted());
}

/// The first carrier that is there decides, and a bad one is not made up for by another.
#[test]
fn bad_credential_is_not_made_up_for_by_a_good_one() {
    let holder = TokenHolder::start();
    let at = holder.site.at(1);
    let (key, _) = api_key(holder.site.gateway(1), json!({ "subject": "importer" }));
    let bad = bearer(&format!("{}x", holder.alice.access));
    let fields = [("Authorization", &*bad), ("X-Api-Key", &*key)];
    assert_eq!(client::exchange(at, get(HOME, &fields)).status / 100, 4);
    let session = "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let fields = [("Cookie", session), ("X-Api-Key", &*key)];
    assert_eq!(client::exchange(at, get(HOME, &fields)).status, 401);
    let good = bearer(&holder.alice.access);
    let received = holder.forward(HOME, &[("Authorization", &good), ("X-Api-Key", &key)]);
    assert_eq!(received.values("x-auth-subject"), ["u-17"]);
    // A route that takes bearers only looks at no key.
    let fields = [("X-Api-Key", &*key)];
    assert_eq!(
        outcome(&client::exchange(at, get("/bearers/x", &fields))),
        denied(401, "credential_absent")
    );
}
