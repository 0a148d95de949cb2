//! Characters that browsers and scripts send in a query as they are, and that must never stand in a path.

use crate::harness::client;
use crate::harness::gateway::Gateway;
use crate::harness::upstream::{Behaviour, Upstream};

fn asked(gateway: &Gateway, target: &str) -> client::Answer {
    gateway.exchange(format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n"))
}

#[test]
fn backslash_and_backtick_in_a_query_are_forwarded_byte_for_byte() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    for query in ["a=\\", "\\", "`", "a=`b`&c=\\..\\admin", "?\\/../`", "{|}^[]'"] {
        for prefix in ["", "http://gateway.test", "HTTP://gateway.test"] {
            let answer = asked(&gateway, &format!("{prefix}/public/x?{query}"));
            assert_eq!(answer.body, format!("GET /public/x?{query} HTTP/1.1"), "{prefix}");
        }
    }
    let answer = asked(&gateway, "/orders/7?\\/../public/x");
    assert_eq!(answer.slug(), "credential_absent");
}

/// As browsers do; parsers refuse them raw.
#[test]
fn quotes_and_angle_brackets_in_a_query_are_forwarded_escaped() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    for (query, forwarded) in [
        ("\"", "%22"),
        ("a=<b>&c=\"d\"", "a=%3Cb%3E&c=%22d%22"),
        ("<\\`>?%3c<", "%3C\\`%3E?%3c%3C"),
    ] {
        for prefix in ["", "http://gateway.test"] {
            let answer = asked(&gateway, &format!("{prefix}/public/x?{query}"));
            assert_eq!(answer.body, format!("GET /public/x?{forwarded} HTTP/1.1"), "{prefix}");
        }
    }
    // In pieces, and with a body behind the head.
    let mut connection = client::Connection::open(gateway.address());
    connection.send("POST /public/x?<\r");
    connection.send(" HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 6\r\n\r\n<\"a?b>");
    drop(connection);
    let mut connection = client::Connection::open(gateway.address());
    connection.send("POST /public/x?<b> HTTP/1.1\r\nHost: gate");
    connection.send("way.test\r\nX-Y: <?\">\r\nContent-Length: 6\r\n\r\n<\"a?b>");
    assert_eq!(connection.answer().expect("an answer").status, 200);
    let received = upstream.last();
    assert_eq!(received.line(), "POST /public/x?%3Cb%3E HTTP/1.1");
    assert_eq!((received.body.as_str(), received.values("x-y")), ("<\"a?b>", vec!["<?\">"]));
    // The limit counts what is forwarded.
    let target = |brackets: usize| format!("/public/x?{}", "<".repeat(brackets));
    let fits = (16 * 1024 - "/public/x?".len()) / 3;
    assert_eq!(asked(&gateway, &target(fits)).status, 200);
    assert_eq!(asked(&gateway, &target(fits + 1)).slug(), "request_target");
}

#[test]
fn path_stays_strict_and_so_does_a_query_with_a_fragment_or_control() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    for byte in ["\\", "`", "\"", "<", ">", "#", "\x01", "\x7f", "\u{e9}"] {
        for prefix in ["", "http://gateway.test"] {
            let answer = asked(&gateway, &format!("{prefix}/public/x{byte}?y"));
            assert_eq!((answer.status, answer.slug().as_str()), (400, "request_target"), "{byte}");
        }
    }
    for query in ["#", "a#b", "\x01", "\t", "\x7f", "\u{e9}", "<#"] {
        let answer = asked(&gateway, &format!("/public/x?{query}"));
        assert_eq!((answer.status, answer.slug().as_str()), (400, "request_target"), "{query}");
    }
    assert!(upstream.received().is_empty());
}
