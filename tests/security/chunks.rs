//! Chunked bodies that two servers could read differently (RFC 9112 §7.1).

use crate::harness::client::{Connection, get};
use crate::harness::gateway::Gateway;
use crate::harness::upstream::{Behaviour, Upstream};

const HEAD: &str =
    "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Bodies, each beside the nearest one that is in order.
pub(super) const PAIRS: [(&str, &str); 28] = [
    // An empty size was taken for the last chunk.
    ("0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n"),
    ("0;a=b\r\n\r\n", " ;a=b\r\n\r\n"),
    ("0;a=b\r\n\r\n", ";a=b\r\n\r\n"),
    ("5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n\r\n\r\n"),
    // Sizes.
    ("5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n"),
    ("5\r\nhello\r\n0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n"),
    ("5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0 \r\n\r\n"),
    ("0000000000000005\r\nhello\r\n0\r\n\r\n", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
    // Extensions.
    ("5;a\r\nhello\r\n0\r\n\r\n", "5;\r\nhello\r\n0\r\n\r\n"),
    ("5;a;b;c\r\nhello\r\n0\r\n\r\n", "5;;;\r\nhello\r\n0\r\n\r\n"),
    ("5;a=b\r\nhello\r\n0\r\n\r\n", "5;a=\r\nhello\r\n0\r\n\r\n"),
    ("5;a=b\r\nhello\r\n0\r\n\r\n", "5;=b\r\nhello\r\n0\r\n\r\n"),
    ("5 ; a = b\r\nhello\r\n0\r\n\r\n", "5 ; a = b \r\nhello\r\n0\r\n\r\n"),
    ("5;a=\"b\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\r\nhello\r\n0\r\n\r\n"),
    ("5;a=\"\\\"\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\\\"\r\nhello\r\n0\r\n\r\n"),
    ("5;a=b\r\nhello\r\n0\r\n\r\n", "5;a=\nb\r\nhello\r\n0\r\n\r\n"),
    ("5;a=\"\tb\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\nb\"\r\nhello\r\n0\r\n\r\n"),
    ("5;a=b\r\nhello\r\n0\r\n\r\n", "5;a=b\0\r\nhello\r\n0\r\n\r\n"),
    ("5;a=\"b\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"),
    ("5;a=b\r\nhello\r\n0\r\n\r\n", "5;a b\r\nhello\r\n0\r\n\r\n"),
    // Trailers.
    ("0\r\njunk:\r\n\r\n", "0\r\njunk\r\n\r\n"),
    ("0\r\nX: GET /x HTTP/1.1\r\n\r\n", "0\r\nGET /x HTTP/1.1\r\n\r\n"),
    ("0\r\nX: a\r\n\r\n", "0\r\nX : a\r\n\r\n"),
    ("0\r\nX: a\r\nY: b\r\n\r\n", "0\r\nX: a\r\n Y: b\r\n\r\n"),
    ("0\r\nX: a\tb\r\n\r\n", "0\r\nX: a\0b\r\n\r\n"),
    ("0\r\nX: a\r\n\r\n", "0\r\nX: a\n\r\n"),
    ("0\r\nX: a\r\n\r\n", "0\r\n: a\r\n\r\n"),
    ("0\r\nX: a\r\n\r\n", "0\r\nX: a\r\n\n"),
];

#[test]
fn well_formed_chunks_are_forwarded_and_malformed_ones_refused() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    for (good, bad) in PAIRS {
        let mut connection = Connection::open(gateway.address());
        let answer = connection.exchange(format!("{HEAD}{good}"));
        assert_eq!(answer.status, 200, "{good:?} was answered {answer:?}");
        assert_eq!(connection.exchange(get("/public/y", &[])).status, 200, "{good:?}");
        let reached = upstream.received().len();
        // At once, and in pieces that hide where the lines are.
        for size in [bad.len(), 1] {
            let mut connection = Connection::open(gateway.address());
            connection.send(HEAD);
            for piece in bad.as_bytes().chunks(size) {
                connection.send(piece);
            }
            connection.send(get("/public/smuggled", &[]));
            let answer = connection.answer().unwrap_or_else(|| panic!("no answer to {bad:?}"));
            assert_eq!(answer.status, 400, "{bad:?} was answered {answer:?}");
            assert_eq!(answer.slug(), "request_framing", "{bad:?}");
            assert_eq!(answer.field("connection"), Some("close"), "{bad:?}");
            assert!(connection.answer().is_none(), "{bad:?} was answered twice");
        }
        assert_eq!(upstream.received().len(), reached, "{bad:?} was forwarded");
    }
}

#[test]
fn malformed_chunk_is_logged_with_what_is_wrong() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    gateway.exchange(format!("{HEAD}5;\r\nhello\r\n0\r\n\r\n"));
    let line = gateway.logged(|line| line["slug"] == "request_framing");
    assert_eq!(line["reason"], "a chunk extension is malformed");
    assert_eq!((&line["outcome"], &line["path"]), (&"denied".into(), &"/public/x".into()));
}

#[test]
fn extensions_and_trailers_are_accepted_at_their_limits_and_refused_beyond() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let extension = |bytes: usize| format!("1;{}\r\nx\r\n", "a".repeat(bytes - 1));
    let trailer = |bytes: usize| format!("0\r\nX:{}\r\n\r\n", "a".repeat(bytes - 2));
    let fields = |count: usize| format!("0\r\n{}\r\n", "X: a\r\n".repeat(count));
    for (good, bad) in [
        (extension(4096) + "0\r\n\r\n", extension(4097) + "0\r\n\r\n"),
        (extension(4096).repeat(4) + "0\r\n\r\n", extension(4096).repeat(4) + "0;a\r\n\r\n"),
        (trailer(32 << 10), trailer((32 << 10) + 1)),
        (fields(100), fields(101)),
    ] {
        assert_eq!(gateway.exchange(format!("{HEAD}{good}")).status, 200);
        let answer = gateway.exchange(format!("{HEAD}{bad}"));
        assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"));
    }
}

#[test]
fn coding_beside_chunked_is_not_implemented() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let body = "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(gateway.exchange(format!("{HEAD}{body}")).status, 200);
    for (coding, status, slug) in [
        ("gzip, chunked", 501, "transfer_coding"),
        ("identity,chunked", 501, "transfer_coding"),
        ("chunked, gzip", 400, "request_framing"),
        ("gzip", 400, "request_framing"),
        ("chunked, chunked", 400, "request_framing"),
    ] {
        let mut connection = Connection::open(gateway.address());
        connection.send(HEAD.replace("chunked", coding) + body);
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug), "{coding}");
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(connection.answer().is_none());
    }
    assert_eq!(upstream.received().len(), 1);
    let line = gateway.logged(|line| line["slug"] == "transfer_coding");
    assert_eq!((&line["status"], &line["outcome"]), (&501.into(), &"denied".into()));
}
