//! Who is let in, and who is not.

use serde_json::json;

use crate::harness::client::{self, get};
use crate::harness::gateway::Gateway;
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::Upstream;

#[test]
fn good_token_reaches_the_upstream() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let answer = gateway.get_as("/orders/7", &token(json!({})));
    assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
    assert_eq!(upstream.last().values("x-auth-subject"), ["alice"]);
}

#[test]
fn absent_credential_is_denied_and_the_connection_stays_open() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let mut connection = client::Connection::open(gateway.address());
    let answer = connection.exchange(get("/orders/7", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"));
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    let token = bearer(&token(json!({})));
    let answer = connection.exchange(get("/orders/7", &[("Authorization", &token)]));
    assert_eq!(answer.status, 200);
}
