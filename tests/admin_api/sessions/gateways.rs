//! Ends with several gateways, and while the store is away.

use super::*;

fn pair_on(server: &RedisServer, lines: &str) -> (Upstream, [Gateway; 2]) {
    let upstream = Upstream::start();
    let lines = format!("{}{lines}", redis(&server.settings()));
    let gateways = [(); 2].map(|()| people::start(&upstream, &lines));
    eventually("the roster", || (fleet::roster(&gateways[0])?.len() == 2).then_some(()));
    (upstream, gateways)
}

#[test]
fn end_is_confirmed_by_every_gateway_and_holds_there() {
    let server = RedisServer::start();
    let (_upstream, [first, second]) = pair_on(&server, "");
    let [one, two, three] = [(); 3].map(|()| Browser::log_in(&first, "alice"));
    for browser in [&one, &two, &three] {
        assert!(browser.is_in(&first) && browser.is_in(&second));
    }
    let told = end(&first, &format!("/v1/sessions/{}?wait_ms=10000", one.id));
    assert_eq!((&told["confirmed"], &told["gateways"]), (&json!(2), &json!(2)), "{told}");
    assert!(!one.is_in(&second) && two.is_in(&second));
    let told = end(&first, "/v1/sessions?subject=alice&wait_ms=10000");
    assert_eq!((&told["confirmed"], &told["ended"]), (&json!(2), &json!(2)), "{told}");
    assert!(!two.is_in(&second) && !three.is_in(&second));
    assert!(sessions(&second, "subject=alice").is_empty());
}

#[test]
fn end_that_the_store_does_not_take_is_503_and_audited() {
    let mut server = RedisServer::start();
    let (_upstream, [gateway, _other]) = pair_on(&server, "");
    let browser = Browser::log_in(&gateway, "alice");
    server.kill();
    let one = format!("/v1/sessions/{}", browser.id);
    for path in [&*one, "/v1/sessions?subject=alice"] {
        let answer = ask(&gateway, "DELETE", path);
        assert_eq!((answer.status, &*answer.slug()), (503, "store_unavailable"), "{answer:?}");
        assert!(answer.field("retry-after").is_some(), "{answer:?}");
    }
    let answer = ask(&gateway, "GET", "/v1/sessions?subject=alice");
    assert_eq!((answer.status, &*answer.slug()), (503, "store_unavailable"), "{answer:?}");
    let lines = eventually("both lines", || {
        let lines = audited(&gateway);
        (lines.len() == 2).then_some(lines)
    });
    for (line, audit) in lines.iter().zip(["end_session", "end_sessions"]) {
        let told = (&line["audit"], &line["result"], &line["durable"], line.get("position"));
        assert_eq!(told, (&json!(audit), &json!("store_unavailable"), &json!(false), None));
    }
    assert_eq!(ended(&gateway), 0.0);
}

#[test]
fn end_is_in_force_here_while_the_store_is_away_where_that_is_wanted() {
    let mut server = RedisServer::start();
    let lines = "revocation: { accept_local: true, when_stale: allow }\n";
    let (_upstream, [gateway, _other]) = pair_on(&server, lines);
    let [one, two] = [(); 2].map(|()| Browser::log_in(&gateway, "alice"));
    assert!(one.is_in(&gateway) && two.is_in(&gateway));
    server.kill();
    let answer = ask(&gateway, "DELETE", &format!("/v1/sessions/{}", one.id));
    assert_eq!((answer.status, &answer.json()["durable"]), (202, &json!(false)), "{answer:?}");
    assert_eq!(one.go(&gateway).slug(), "session_revoked");
    assert!(two.is_in(&gateway));
    let answer = ask(&gateway, "DELETE", "/v1/sessions?subject=alice");
    assert_eq!((answer.status, &answer.json()["ended"]), (202, &Value::Null), "{answer:?}");
    assert_eq!(two.go(&gateway).slug(), "session_revoked");
}
