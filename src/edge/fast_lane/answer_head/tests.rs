use super::*;

fn told(method: &Method, head: &str) -> Result<Option<(AnswerHead, String)>, String> {
    let telling = Telling {
        method,
        keeps_back: &|cookie| cookie.starts_with(b"ours="),
        is_of_session: false,
        keeps_connection: true,
    };
    let mut out = Vec::new();
    match read(head.as_bytes(), telling, &mut out) {
        Ok(None) => {
            assert!(out.is_empty(), "nothing is told of half a head");
            Ok(None)
        }
        Ok(Some(read)) => Ok(Some((read, String::from_utf8(out).expect("text")))),
        Err(Fault::Upstream(error) | Fault::Client(error)) => {
            assert!(out.is_empty(), "nothing is told of what is refused");
            Err(error.to_string())
        }
    }
}

fn get(head: &str) -> (AnswerHead, String) {
    told(&Method::GET, head).expect(head).expect("it is complete")
}

fn framing(fields: &str) -> Framing {
    get(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).0.framing
}

#[test]
fn end_of_an_answer_is_where_its_head_says() {
    assert_eq!(framing(""), Framing::UntilClose);
    assert_eq!(framing("Content-Length: 0\r\n"), Framing::Length(0));
    assert_eq!(framing("Content-Length: 7, 7\r\nContent-Length: 7\r\n"), Framing::Length(7));
    assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Framing::Chunked);
    assert_eq!(framing("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"), Framing::Chunked);
    for head in ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 103 Early Hints"]
    {
        let (head, _) = get(&format!("{head}\r\nContent-Length: 7\r\n\r\n"));
        assert_eq!(head.framing, Framing::Nothing);
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    let (head, out) = told(&Method::HEAD, head).expect("it is read").expect("it is complete");
    assert_eq!(head.framing, Framing::Nothing);
    assert!(out.contains("Content-Length: 7\r\n"), "{out}");
}

#[test]
fn answer_that_says_two_things_of_its_end_is_refused() {
    for fields in [
        "Content-Length: 7\r\nContent-Length: 8\r\n",
        "Content-Length: 7, 8\r\n",
        "Content-Length: \r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x7\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert!(told(&Method::GET, &head).is_err(), "{fields:?}");
    }
    for head in ["HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 42 ?\r\n\r\n", "SSH-2.0\r\n"]
    {
        assert!(told(&Method::GET, head).is_err(), "{head:?}");
    }
}

#[test]
fn coding_overrides_a_length_and_is_passed_on() {
    for fields in [
        "Content-Length: 7\r\nContent-Length: 8\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: x\r\n",
    ] {
        let (head, out) = get(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!((head.framing, head.keeps_connection), (Framing::Chunked, false));
        assert!(out.contains("\r\nTransfer-Encoding: gzip, chunked\r\n"), "{out}");
        assert!(!out.contains("Content-Length"), "{out}");
    }
}

#[test]
fn folded_value_goes_on_in_one_line() {
    let (_, out) = get("HTTP/1.1 200 OK\r\nX-Fold: a\r\n Set-Cookie: b\r\nX-Space : c\r\n\r\n");
    assert!(out.contains("\r\nX-Fold: a   Set-Cookie: b\r\nX-Space: c\r\n"), "{out}");
}

#[test]
fn connection_is_kept_if_the_end_of_the_answer_is_certain_and_nothing_speaks_against_it() {
    let keeps = |head: &str| get(head).0.keeps_connection;
    assert!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"));
    assert!(keeps("HTTP/1.0 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n"));
    for head in [
        "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: x, Close\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
    ] {
        assert!(!keeps(head), "{head:?}");
    }
}

#[test]
fn client_is_told_nothing_of_the_connection_to_the_upstream() {
    let (_, out) = get(
        "HTTP/1.0 200 Fine\r\nconnection: X-Private, content-length\r\nX-Private: 1\r\nX-Public: 2\r\n\
         Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: x\r\nUpgrade: h2c\r\nDate: then\r\n\
         Set-Cookie: ours=1\r\nSet-Cookie: theirs=1\r\ncontent-length: 7, 7\r\n\r\n",
    );
    assert_eq!(
        out,
        "HTTP/1.1 200 Fine\r\nX-Public: 2\r\nDate: then\r\nSet-Cookie: theirs=1\r\n\
         Content-Length: 7\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn answer_to_a_session_is_kept_by_nobody_unless_the_upstream_says_so() {
    let told = |fields: &str| {
        let telling = Telling {
            method: &Method::GET,
            keeps_back: &|_| false,
            is_of_session: true,
            keeps_connection: false,
        };
        let mut out = Vec::new();
        let head = format!("HTTP/1.1 204 x\r\nDate: then\r\n{fields}\r\n");
        read(head.as_bytes(), telling, &mut out).expect("it is read").expect("it is complete");
        String::from_utf8(out).expect("text")
    };
    assert!(told("").contains("\r\nCache-Control: no-store\r\nConnection: close\r\n"));
    assert!(!told("Cache-Control: max-age=9\r\n").contains("no-store"));
    assert!(told("Connection: cache-control\r\nCache-Control: max-age=9\r\n").contains("no-store"));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let telling = Telling {
            method: &Method::GET,
            keeps_back: &|_| false,
            is_of_session: true,
            keeps_connection: true,
        };
        drop(read(&bytes, telling, &mut Vec::new()));
    }

    /// Half of a head tells nothing, whatever it is half of.
    #[test]
    fn every_beginning_of_a_head_is_partial_or_refused(
        fields in proptest::collection::vec("[A-Za-z-]{1,6}: [ -~]{0,10}\r\n", 0..6),
        end: proptest::sample::Index,
    ) {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", fields.concat());
        let end = end.index(head.len());
        let whole = told(&Method::GET, &head);
        if let Ok(Some((read, _))) = whole {
            proptest::prop_assert_eq!(read.length, head.len());
            proptest::prop_assert!(matches!(told(&Method::GET, &head[..end]), Ok(None)));
        }
    }
}
