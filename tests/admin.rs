//! The admin listener.

use serde_json::json;

use crate::harness::client::{Answer, exchange, get, request};
use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::gateway::{self, Gateway, standard};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::token;
use crate::harness::upstream::Upstream;

const TOKEN: &str = "an-admin-token-of-some-length";

/// A gateway whose admin listener asks for a token.
fn guarded() -> Gateway {
    let directory = gateway::directory();
    // The line end is how editors leave a file; it is not part of the token.
    std::fs::write(directory.path().join("admin.token"), format!("{TOKEN}\n")).expect("a file");
    let standard = standard(&Upstream::start()).replace(
        "admin: { address: '127.0.0.1:0' }",
        "admin: { address: '127.0.0.1:0', token_file: admin.token }",
    );
    Gateway::start_in(directory, &standard)
}

fn ask(gateway: &Gateway, path: &str, authorization: Option<&str>) -> Answer {
    let host = gateway.admin().to_string();
    let mut fields = vec![("Host", host.as_str())];
    fields.extend(authorization.map(|value| ("Authorization", value)));
    exchange(gateway.admin(), get(path, &fields))
}

#[test]
fn probes_say_one_word() {
    let gateway = Gateway::standard(&Upstream::start());
    for (path, word) in [("/livez", "alive\n"), ("/readyz", "ready\n")] {
        let answer = ask(&gateway, path, None);
        assert_eq!((answer.status, answer.body.as_str()), (200, word), "{path}");
    }
}

/// It stays ready: what is public is served, and what may be served by an old list.
#[test]
fn probe_tells_that_the_list_is_stale() {
    let server = RedisServer::start();
    let lines = fleet::redis(&server.settings()) + &fleet::stale_after("1s");
    let gateway = fleet::start(&Upstream::start(), "gw-1", &lines);
    let ready = || {
        let answer = ask(&gateway, "/readyz", None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    for (word, change) in
        [("ready\n", RedisServer::pause as fn(&_)), ("stale\n", RedisServer::resume)]
    {
        eventually(word, || (ready() == word).then_some(()));
        change(&server);
    }
    eventually("contact", || (ready() == "ready\n").then_some(()));
}

#[test]
fn metrics_are_open_on_a_loopback_address_without_a_token() {
    let gateway = Gateway::standard(&Upstream::start());
    let answer = ask(&gateway, "/metrics", None);
    assert_eq!(answer.status, 200);
    let kind = answer.field("content-type").expect("a type");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
}

#[test]
fn metrics_ask_for_the_token_if_there_is_one() {
    let gateway = guarded();
    let almost = &TOKEN[..TOKEN.len() - 1];
    let more = format!("{TOKEN}x");
    for value in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer wrong"),
        Some(TOKEN),
        Some(&*format!("Basic {TOKEN}")),
        Some(&format!("Bearer {almost}")),
        Some(&format!("Bearer {more}")),
        Some(&format!("Bearer {}", TOKEN.to_uppercase())),
        Some(&format!("Bearer {}", token(json!({})))),
    ] {
        let answer = ask(&gateway, "/metrics", value);
        assert_eq!(answer.status, 401, "{value:?}");
        let challenge = answer.field("www-authenticate");
        assert_eq!(challenge, Some("Bearer realm=\"portcullis-admin\""), "{value:?}");
        assert!(!answer.body.contains("portcullis_"), "{value:?}: {}", answer.body);
    }
}

#[test]
fn right_token_opens_the_metrics() {
    let answer = ask(&guarded(), "/metrics", Some(&format!("Bearer {TOKEN}")));
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("portcullis_build_info"));
}

#[test]
fn probes_stay_open_where_a_token_is_asked_for() {
    let gateway = guarded();
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&gateway, path, None).status, 200, "{path}");
        assert_eq!(ask(&gateway, path, Some("Bearer wrong")).status, 200, "{path}");
    }
}

#[test]
fn nothing_else_is_there() {
    let gateway = Gateway::standard(&Upstream::start());
    for path in ["/", "/metrics/", "/metric", "/debug/pprof", "/public/a", "/orders/7"] {
        assert_eq!(ask(&gateway, path, None).status, 404, "{path}");
    }
    let answer = exchange(gateway.admin(), request("POST", "/metrics", &[("Host", "[::1]")], ""));
    assert_eq!(answer.status, 405);
}

/// What operators see is not for clients.
#[test]
fn admin_paths_do_not_exist_on_the_public_listeners() {
    let gateway = Gateway::standard(&Upstream::start());
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(gateway.exchange(get(path, &[])).slug(), "route_unknown", "{path}");
    }
}
