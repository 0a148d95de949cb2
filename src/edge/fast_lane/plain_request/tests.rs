use super::*;
use crate::gate::framing::{Head, HeadLimits, Scan};

fn read(text: &str) -> Option<PlainRequest> {
    let limits = HeadLimits { bytes_max: 4096, fields_max: 32 };
    let Ok(Head::Complete(message)) = Scan::default().read(text.as_bytes(), limits) else {
        panic!("{text:?} is no head")
    };
    match PlainRequest::read(BytesMut::from(text), &message) {
        Ok(request) => Some(request),
        Err(bytes) => {
            assert_eq!(bytes, text.as_bytes(), "they are given back as they came");
            None
        }
    }
}

fn with(fields: &str) -> Option<PlainRequest> {
    read(&format!("GET /a?b HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

#[test]
fn plain_request_is_read_as_it_was_sent() {
    let request = with("X-One:  1\t\r\nx-one: 2\r\n").expect("it is plain");
    assert_eq!((request.method.as_str(), request.target()), ("GET", b"/a?b".as_slice()));
    let fields: Vec<_> = request.fields().map(|field| (field.written, field.value)).collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"Host", b"a"), (b"X-One", b"1"), (b"x-one", b"2")];
    assert_eq!(fields, expected);
    assert_eq!(request.headers.get_all("x-one").iter().count(), 2);
    assert!(!request.wants_close);
    let text = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(read(text).expect("an empty line may come first").into_bytes(), text.as_bytes());
}

#[test]
fn connection_may_say_whether_it_stays_and_nothing_else() {
    for (field, wants_close) in [
        ("Connection: keep-alive\r\n", false),
        ("Connection: Close\r\n", true),
        ("Connection: keep-alive, close\r\n", true),
        ("Connection: keep-alive\r\nConnection: close\r\n", true),
    ] {
        assert_eq!(with(field).expect(field).wants_close, wants_close, "{field}");
    }
    for field in ["Connection: x-one\r\n", "Connection: upgrade\r\n", "Connection: ,\r\n"] {
        assert!(with(field).is_none(), "{field}");
    }
}

#[test]
fn body_that_came_whole_belongs_to_the_request() {
    for (length, body) in [(0, ""), (5, "hello"), (9, "a\r\n\r\nb: c")] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
        let request = read(&text).expect(body);
        assert_eq!(request.body(), body.as_bytes());
        assert_eq!(request.fields().count(), 2, "no line of the body is a field");
        assert_eq!(request.into_bytes(), text.as_bytes());
    }
    assert_eq!(with("").expect("it is plain").body(), b"");
}

#[test]
fn what_has_more_to_come_or_another_form_is_not_plain() {
    for text in [
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert!(read(text).is_none(), "{text:?}");
    }
}
