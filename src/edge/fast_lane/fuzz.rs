//! Answers that no upstream should send: heads and chunks, changed at random.
//!
//! A second in each run of the tests; `make fuzz` goes on for half an hour. `FUZZ_SEED` begins where a
//! finding was.

use std::time::{Duration, Instant};

use http::Method;

use super::answer_head::{self, AnswerHead, Framing, Telling};
use crate::gate::framing::chunked::{Chunked, Progress};

/// What is changed, and put together.
const HEADS: [&str; 10] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Private\r\nX-Private: 1\r\n\r\n",
    "HTTP/1.0 200\r\nConnection: keep-alive\r\nContent-Length: 7, 7\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nDate: Tue, 01 Dec 2026 00:00:00 GMT\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nSet-Cookie: ours=1\r\nset-cookie: a=ours=1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\n\tc\r\nX-Space : d\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "HTTP/1.1 500 \r\nConnection: close, content-length\r\nTE: x\r\nUpgrade: h2c\r\n\r\n",
];
const BODIES: [&str; 4] = [
    "5\r\nhello\r\n0\r\n\r\n",
    "00a;b=\"c\\\"d\"\r\n0123456789\r\n1\r\nx\r\n0;e\r\nX-Last: 1\r\n\r\nHTTP/1.1 200 OK\r\n",
    "ffffffffffffffff\r\nx",
    "3\r\nabc\r\n0\r\nSet-Cookie: ours=1\r\nTransfer-Encoding: chunked\r\n\r\n",
];
/// What is put in between.
const PIECES: [&str; 20] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "=",
    "\"",
    "\0",
    "\u{fc}",
    "0",
    "-1",
    "chunked",
    "Content-Length: 6\r\n",
    "Transfer-Encoding: x\r\n",
    "Connection: close\r\n",
    "HTTP/1.1 ",
    "\r\n\r\n",
];

fn changed(random: &mut fastrand::Rng, texts: &[&str]) -> Vec<u8> {
    let mut bytes = texts[random.usize(..texts.len())].as_bytes().to_vec();
    for _ in 0..random.usize(..6) {
        let at = random.usize(..=bytes.len());
        let to = (at + random.usize(..8)).min(bytes.len());
        match random.u8(..6) {
            0 => drop(bytes.drain(at..to)),
            1 => drop(bytes.splice(at..at, PIECES[random.usize(..PIECES.len())].bytes())),
            2 if at < bytes.len() => bytes[at] = random.u8(..),
            3 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            _ => bytes.extend_from_slice(texts[random.usize(..texts.len())].as_bytes()),
        }
    }
    bytes
}

fn read(bytes: &[u8], method: &Method) -> Result<Option<(AnswerHead, Vec<u8>)>, ()> {
    let telling = Telling {
        method,
        keeps_back: &|cookie| cookie.starts_with(b"ours="),
        is_of_session: false,
        keeps_connection: true,
    };
    let mut out = Vec::new();
    let read = answer_head::read(bytes, telling, &mut out).map_err(drop);
    if !matches!(read, Ok(Some(_))) {
        assert!(out.is_empty(), "something is told of no answer");
    }
    Ok(read?.map(|head| (head, out)))
}

/// What is written of a head that was accepted says in one way where the answer ends.
fn hold_head(random: &mut fastrand::Rng) {
    let bytes = changed(random, &HEADS);
    let method = if random.bool() { Method::GET } else { Method::HEAD };
    let Ok(Some((head, out))) = read(&bytes, &method) else { return };
    assert!(head.length <= bytes.len());
    let part = &bytes[..random.usize(..head.length)];
    assert!(matches!(read(part, &method), Ok(None)), "a part of a head is one: {part:?}");
    let mut fields = [httparse::EMPTY_HEADER; 300];
    let mut told = httparse::Response::new(&mut fields);
    let parsed = told.parse(&out).expect("what is told can be read strictly");
    assert_eq!(parsed, httparse::Status::Complete(out.len()), "it is one head");
    let values = |wanted: &str| -> Vec<&[u8]> {
        let named = told.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(wanted));
        named.map(|field| field.value).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match head.framing {
        Framing::Length(length) => {
            assert_eq!((lengths, codings), (vec![length.to_string().as_bytes()], vec![]));
        }
        Framing::Chunked | Framing::UntilClose => {
            assert!(lengths.is_empty() && codings.len() == 1);
            assert!(codings[0].to_ascii_lowercase().ends_with(b"chunked"));
        }
        Framing::Nothing => assert!(lengths.len() <= 1 && codings.is_empty()),
    }
    assert!(values("set-cookie").iter().all(|cookie| !cookie.starts_with(b"ours=")));
    let is_final = !head.is_interim();
    assert_eq!(
        values("connection"),
        if is_final { vec![b"keep-alive".as_slice()] } else { vec![] }
    );
    if let (true, Framing::Length(_) | Framing::Chunked) = (is_final, head.framing) {
        let (again, _) = read(&out, &method).expect("it is read").expect("it is complete");
        assert_eq!(again.framing, head.framing, "who reads what is told finds the same end");
    }
}

/// The data of a body in chunks, and where it ends, or what is in order before what is not.
fn data_of(pieces: &[&[u8]]) -> (Vec<u8>, Result<Option<usize>, &'static str>) {
    let (mut chunked, mut data, mut before) = (Chunked::default(), Vec::new(), 0);
    for piece in pieces {
        match chunked.read_data(piece, |part| data.extend_from_slice(part)) {
            Ok(Progress::Partial) => before += piece.len(),
            Ok(Progress::End(taken)) => return (data, Ok(Some(before + taken))),
            Err(malformed) => return (data, Err(malformed.reason)),
        }
    }
    (data, Ok(None))
}

/// A body is the same in whatever pieces it comes.
fn hold_body(random: &mut fastrand::Rng) {
    let bytes = changed(random, &BODIES);
    let whole = data_of(&[&bytes]);
    let at = random.usize(..=bytes.len());
    let (one, other) = bytes.split_at(at);
    assert_eq!(data_of(&[one, other]), whole, "in two pieces");
    assert_eq!(data_of(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    assert!(whole.0.len() <= bytes.len());
}

#[test]
fn changed_answers_are_read_in_one_way_or_refused() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let first = number("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 48));
    let length = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let begun = Instant::now();
    let mut seed = first;
    while begun.elapsed() < length {
        for _ in 0..1_000 {
            let held = std::panic::catch_unwind(|| {
                let mut random = fastrand::Rng::with_seed(seed);
                hold_head(&mut random);
                hold_body(&mut random);
            });
            assert!(held.is_ok(), "with FUZZ_SEED={seed}");
            seed += 1;
        }
    }
    println!("{} answers in {:?}, from FUZZ_SEED={first}", seed - first, begun.elapsed());
}
