use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 256, fields_max: 8 };

fn read(bytes: &[u8]) -> Result<Head, Slug> {
    Scan::default().read(bytes, LIMITS)
}

fn read_text(text: &str) -> Result<Head, Slug> {
    read(text.as_bytes())
}

fn message(text: &str) -> Message {
    match read_text(text) {
        Ok(Head::Complete(message)) => message,
        other => panic!("{text:?} was read as {other:?}"),
    }
}

fn with(fields: &str) -> Result<Head, Slug> {
    read_text(&format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

#[test]
fn complete_head_is_measured_and_its_body_left_alone() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(message(head).head_bytes, head.len());
    assert_eq!(message(&format!("{head}body\n")).head_bytes, head.len());
}

#[test]
fn complete_head_says_what_follows_it() {
    let body = |fields: &str| message(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).body;
    assert_eq!(body(""), Body::Length(0));
    assert_eq!(body("Content-Length: 0\r\n"), Body::Length(0));
    assert_eq!(body("Content-Length:007\r\n"), Body::Length(7));
    let most = 9_999_999_999_999_999_999;
    assert_eq!(body(&format!("content-length: {most}\r\n")), Body::Length(most));
    assert_eq!(body("Transfer-Encoding: CHUNKED\r\n"), Body::Chunked);
    let waits = |fields: &str| {
        message(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).waits_to_continue
    };
    assert!(!waits(""));
    assert!(!waits("Expect: something\r\n"));
    assert!(waits("expect: 100-Continue\r\n"));
}

#[test]
fn one_empty_line_is_ignored_before_a_request_and_no_second_one() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(message(&format!("\r\n{head}")).head_bytes, head.len() + 2);
    assert_eq!(read_text(&format!("\r\n\r\n{head}")), Err(Slug::RequestFraming));
    assert_eq!(read_text(&format!("\n{head}")), Err(Slug::RequestFraming));
}

#[test]
fn every_beginning_of_a_head_is_partial() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let mut scan = Scan::default();
    for end in 0..head.len() {
        assert_eq!(read_text(&head[..end]), Ok(Head::Partial), "{end}");
        assert_eq!(scan.read(&head.as_bytes()[..end], LIMITS), Ok(Head::Partial), "{end}");
        assert_eq!(scan.searched, end, "what was read is read again");
    }
    assert_eq!(scan.read(head.as_bytes(), LIMITS), Ok(Head::Complete(message(head))));
}

#[test]
fn one_framing_is_accepted_and_any_doubt_refused() {
    for fields in
        ["", "Content-Length: 7\r\n", "transfer-encoding: Chunked\r\n", "X:\r\n", "X: a\tb\r\n"]
    {
        assert!(with(fields).is_ok(), "{fields}");
    }
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, , chunked\r\n",
        "Transfer-Encoding: gzip, chunked,\r\n",
        "Transfer-Encoding: gz ip, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " X: folded\r\n",
        "X: a\r\n folded\r\n",
        "X a\r\n",
        ": a\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X: a\x7f\r\n",
        "X: a\n",
        "X\u{e9}: a\r\n",
    ] {
        assert_eq!(with(fields), Err(Slug::RequestFraming), "{fields:?}");
    }
}

#[test]
fn coding_beside_chunked_is_not_implemented() {
    for coding in ["gzip, chunked", "gzip,chunked", "deflate , gzip,\tChunked", "identity, chunked"]
    {
        assert_eq!(with(&format!("Transfer-Encoding: {coding}\r\n")), Err(Slug::TransferCoding));
    }
}

#[test]
fn bare_line_feeds_are_refused_wherever_they_stand() {
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\n",
    ] {
        assert_eq!(read_text(text), Err(Slug::RequestFraming), "{text:?}");
    }
}

#[test]
fn request_line_is_read_strictly() {
    for line in [
        "",
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET / HTTP/0.9",
        "G\u{e9}T / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(read_text(&text), Err(Slug::RequestFraming), "{line:?}");
    }
    for target in ["/\u{e9}", "/\x01", "/a\tb"] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read_text(&text), Err(Slug::RequestTarget), "{target:?}");
    }
}

#[test]
fn targets_are_in_origin_form_or_absolute_and_agree_with_the_host() {
    let target = |target: &str| read_text(&format!("GET {target} HTTP/1.1\r\nHost: a:8\r\n\r\n"));
    for good in ["/", "/x?y", "//x", "http://a:8/x", "HTTPS://a:8", "http://a:8?x"] {
        assert!(target(good).is_ok(), "{good}");
    }
    for bad in [
        "*",
        "a:8",
        "foo:bar",
        "http://a/",
        "http://b:8/",
        "http://u@a:8/",
        "http:///x",
        "http:/x",
        "ftp://a:8/",
        "x",
    ] {
        assert_eq!(target(bad), Err(Slug::RequestTarget), "{bad}");
    }
}

#[test]
fn query_is_escaped_before_it_is_read_and_the_path_never() {
    let line = "GET /a?b=<c>\" HTTP/1.1\r\n";
    let head = format!("{line}Host: a\r\nX: <\r\n\r\n<?>");
    let length = line.len() - 1;
    assert_eq!(read_text(&head), Ok(Head::Unescaped(length)));
    assert_eq!(read_text(line), Ok(Head::Unescaped(length)));
    let escaped = escape_query(head.as_bytes(), length);
    let expected = "GET /a?b=%3Cc%3E%22 HTTP/1.1\r\nHost: a\r\nX: <\r\n\r\n<?>";
    assert_eq!(String::from_utf8_lossy(&escaped), expected);
    assert_eq!(message(expected).head_bytes, expected.len() - 3);
    let behind_an_empty_line = format!("\r\n{line}");
    assert_eq!(read_text(&behind_an_empty_line), Ok(Head::Unescaped(length + 2)));
    for target in ["/<?a", "/\"", "/>", "/`?a", "/\\", "/a?#", "/a?<#", "http://a\\?b"] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read_text(&text), Err(Slug::RequestTarget), "{target}");
    }
}

#[test]
fn http10_may_not_be_chunked() {
    let text = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read_text(text), Err(Slug::RequestFraming));
}

#[test]
fn exactly_one_host_is_required() {
    assert_eq!(read_text("GET / HTTP/1.1\r\n\r\n"), Err(Slug::HostMissing));
    let http10 = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(message(http10).head_bytes, http10.len());
    let twice = "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n";
    assert_eq!(read_text(twice), Err(Slug::HostMissing));
    assert_eq!(with("Host: a\r\n"), Err(Slug::HostMissing));
    assert_eq!(read_text("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), Err(Slug::HostMissing));
}

#[test]
fn limits_are_accepted_and_one_more_refused() {
    let head = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes - frame))
    };
    assert!(read_text(&head(LIMITS.bytes_max)).is_ok());
    assert_eq!(read_text(&head(LIMITS.bytes_max + 1)), Err(Slug::HeadersTooLarge));
    assert!(with(&"X: a\r\n".repeat(LIMITS.fields_max - 1)).is_ok());
    assert_eq!(with(&"X: a\r\n".repeat(LIMITS.fields_max)), Err(Slug::HeadersTooLarge));
    assert_eq!(read(&[b'x'; 300]), Err(Slug::HeadersTooLarge), "a line without end");
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }

    /// A head is read the same in whatever pieces it arrives.
    #[test]
    fn every_split_reads_the_same(
        lines in proptest::collection::vec(
            "(GET /[a-z]{0,3} HTTP/1\\.[01]|Host: [a-z@]{1,3}|Content-Length: [0-9]{1,2}|[A-Za-z -]{1,6}:[ -~\t]{0,10}|)\r?\n",
            0..8,
        ),
        splits: Vec<proptest::sample::Index>,
    ) {
        let text = lines.concat();
        let mut ends: Vec<_> = splits.iter().map(|split| split.index(text.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(text.len());
        let mut scan = Scan::default();
        let mut last = ends.into_iter().map(|end| scan.read(&text.as_bytes()[..end], LIMITS));
        let last = last.find(|read| *read != Ok(Head::Partial));
        proptest::prop_assert_eq!(last.unwrap_or(Ok(Head::Partial)), read_text(&text));
    }

    /// For an accepted head, Pingora's own parser finds the same end as ours.
    #[test]
    fn accepted_heads_end_where_httparse_ends_them(
        fields in proptest::collection::vec("[A-Za-z-]{1,6}:[ -~\t]{0,10}\r?\n?", 0..6)
    ) {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields.concat());
        if let Ok(Head::Complete(Message { head_bytes, .. })) = read_text(&text) {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(text.as_bytes());
            proptest::prop_assert_eq!(parsed, Ok(httparse::Status::Complete(head_bytes)));
        }
    }
}
