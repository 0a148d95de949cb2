//! Both lanes are one behaviour: the same requests and answers through either, and what the upstream and
//! the client received compared.

use std::fmt::Write as _;

use serde_json::json;

use crate::harness::client::{Answer, Connection};
use crate::harness::gateway::{self, Gateway};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::{Behaviour, Received, Upstream};

/// How many exchanges are compared.
const EXCHANGES: u64 = 400;

/// How many that differ are shown.
const SHOWN_MAX: usize = 5;

/// Fields that a proxy keeps, drops, rewrites or trips over.
const REQUEST_FIELDS: [&str; 33] = [
    "Accept: */*",
    "ACCEPT: text/plain",
    "Accept-Language: de",
    "X-Custom: 1",
    "x-custom: 2",
    "X-Empty:",
    "X-Padded:  \t a b \t",
    "Cookie: a=1; b=2",
    "Cookie: c=3",
    "Cookie: __Host-session=x; d=4",
    "Connection: keep-alive",
    "Connection: X-Custom",
    "Keep-Alive: 5",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eA==",
    "TE: trailers",
    "Trailer: X-Last",
    "Forwarded: for=192.0.2.9",
    "X-Forwarded-For: 192.0.2.7, 192.0.2.8",
    "X-Forwarded-Host: elsewhere.test",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: //elsewhere.test",
    "X_Forwarded_For: 192.0.2.6",
    "X-Real-IP: 192.0.2.5",
    "X-Request-Id: abc-1",
    "X-Request-Id: a b",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate: a=1",
    "X-Auth-Subject: root",
    "X_Auth_Subject: root",
    "X-Original-URL: /admin",
    "X-HTTP-Method-Override: PUT",
];

/// Fields of answers.
const ANSWER_FIELDS: [&str; 18] = [
    "X-Fold: a\r\n b",
    "X-Space : a",
    "Content-Type: text/plain",
    "content-type: text/html",
    "X-Private: 1",
    "Connection: X-Private",
    "Connection: keep-alive",
    "Connection: close",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: x",
    "Upgrade: h2c",
    "TE: x",
    "Set-Cookie: a=1",
    "Set-Cookie: __Host-session=x; Path=/; Secure",
    "Cache-Control: max-age=9",
    "Date: Tue, 01 Dec 2026 00:00:00 GMT",
    "X-Empty:",
    "ETag: \"1\"",
];

/// Some of the fields, each on a line.
fn some(random: &mut fastrand::Rng, fields: &[&str], max: usize) -> String {
    let count = random.usize(..=max);
    (0..count).fold(String::new(), |mut text, _| {
        let _ = write!(text, "{}\r\n", fields[random.usize(..fields.len())]);
        text
    })
}

/// The fields that say how a body is framed, and the body.
fn body(random: &mut fastrand::Rng) -> (String, String) {
    let length = match random.u8(..8) {
        0 => 0,
        1 => 5,
        2 => 2_000,
        // More than comes with the head, and more than is short.
        3 => 9_000,
        4 => 40_000,
        5 => return ("Transfer-Encoding: chunked\r\n".into(), "5\r\nhello\r\n0\r\n\r\n".into()),
        _ => return Default::default(),
    };
    let zeros = ["", "", "0", "00000000"][random.usize(..4)];
    (format!("Content-Length: {zeros}{length}\r\n"), "b".repeat(length))
}

fn request(random: &mut fastrand::Rng, credential: &str) -> (bool, String) {
    let methods = ["GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"];
    let method = methods[random.usize(..methods.len())];
    let targets =
        ["/public/a", "/public/a?b=%20&c", "/orders/7", "/orders/7?x", "/nowhere", "/public/%2e"];
    let target = targets[random.usize(..targets.len())];
    let authorization = match random.u8(..4) {
        0 => String::new(),
        1 => "Authorization: Bearer nonsense\r\n".to_owned(),
        _ => format!("Authorization: {credential}\r\n"),
    };
    let fields = some(random, &REQUEST_FIELDS, 6);
    let (framing, body) = body(random);
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{authorization}{fields}{framing}\r\n{body}"
    );
    (method == "HEAD", text)
}

fn answer(random: &mut fastrand::Rng, is_head: bool) -> String {
    let fields = some(random, &ANSWER_FIELDS, 5);
    let statuses = [
        "200 OK",
        "200 OK",
        "404 Not Found",
        "500 No",
        "204 No Content",
        "304 Not Modified",
        "101 No",
    ];
    let status = statuses[random.usize(..statuses.len())];
    // The client of the tests takes one head for all of an answer to HEAD.
    let early = match random.u8(..6) {
        0 if !is_head => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        _ => "",
    };
    let version = if random.u8(..5) == 0 { "1.0" } else { "1.1" };
    let has_content = !matches!(&status[..3], "204" | "304" | "101");
    let framed = match (has_content, random.u8(..8)) {
        (false, _) => "\r\n",
        (true, 0) => "Content-Length: 0\r\n\r\n",
        (true, 1) => "Content-Length: 5\r\n\r\nhello",
        (true, 2) => "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        (true, 3) => "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        (true, 4) if version == "1.1" => {
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        }
        (true, 5) if version == "1.1" => {
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        }
        (true, 6) if version == "1.1" => concat!(
            "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n",
            "Set-Cookie: __Host-session=x; Secure\r\nX-Last: 1\r\n\r\n"
        ),
        (true, _) => "Content-Length: 70000\r\n\r\n",
    };
    let body = if framed.contains("70000") { "x".repeat(70_000) } else { String::new() };
    format!("{early}HTTP/{version} {status}\r\n{fields}{framed}{body}")
}

/// Names and values.
type Fields = Vec<(String, String)>;

/// What the upstream received, but for what is random or has no order.
fn received(upstream: &Upstream) -> Option<(String, Fields, String)> {
    let last: Received = upstream.received().pop()?;
    let mut fields: Vec<_> = last
        .head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .map(|(name, value)| match &*name {
            // Ours is random; what the client sent is not so long.
            "x-request-id" | "traceparent" if value.len() == 32 || value.ends_with("-00") => {
                (name, "ours".to_owned())
            }
            _ => (name, value),
        })
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    Some((last.line().to_owned(), fields, last.body))
}

/// What the client received, but for what is random or has no order.
fn shown(answer: Answer) -> (u16, Fields, String) {
    let is_denial = answer.fields.iter().any(|(_, value)| value == "application/problem+json");
    let body = if is_denial && !answer.body.is_empty() { answer.slug() } else { answer.body };
    let mut fields = answer.fields;
    // Pingora writes its own.
    fields.retain(|(name, _)| name != "date");
    // How many spaces a line end becomes is nobody's promise.
    for (_, value) in &mut fields {
        *value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    (answer.status, fields, body)
}

#[test]
fn what_upstream_and_client_receive_is_the_same_in_both_lanes() {
    let credential = bearer(&token(json!({})));
    for trusted in ["", "trusted_proxies: [127.0.0.0/8]\n"] {
        let lanes = ["fast", "pingora"].map(|lane| {
            let upstream = Upstream::start();
            let text = format!("{trusted}{}", gateway::standard(&upstream));
            let text = text.replacen("server: {", &format!("server: {{ lane: {lane},"), 1);
            (Gateway::start(&text), upstream)
        });
        let mut random = fastrand::Rng::with_seed(14);
        let mut differences = Vec::new();
        for number in 0..EXCHANGES {
            let (is_head, request) = request(&mut random, &credential);
            let answer = answer(&mut random, is_head);
            let [fast, pingora] = [&lanes[0], &lanes[1]].map(|(gateway, upstream)| {
                let before = upstream.received().len();
                upstream.behave(Behaviour::Bytes(answer.clone()));
                let mut connection = Connection::open(gateway.address());
                connection.send(&request);
                let told = match is_head {
                    true => connection.head_answer(),
                    false => connection.answer().expect("an answer"),
                };
                let reached = upstream.received().len() > before;
                (shown(told), reached.then(|| received(upstream)).flatten())
            });
            if fast != pingora {
                let start: String = answer.chars().take(300).collect();
                let asked: String = request.chars().take(900).collect();
                differences.push(format!(
                    "{number}:\n{asked}\n{start}\nfast: {fast:#?}\npingora: {pingora:#?}"
                ));
            }
        }
        let count = differences.len();
        differences.truncate(SHOWN_MAX);
        assert!(count == 0, "{count} exchanges differ: {}", differences.join("\n\n"));
    }
}
