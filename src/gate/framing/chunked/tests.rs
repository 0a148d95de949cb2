use proptest::prelude::*;

use super::*;

/// The whole of a text, read at once.
fn read(bytes: &[u8]) -> Result<Progress, MalformedChunk> {
    Chunked::default().read(bytes)
}

/// Reads in pieces that end at these places.
fn read_split(bytes: &[u8], mut splits: Vec<usize>) -> Result<Progress, MalformedChunk> {
    splits.sort_unstable();
    splits.push(bytes.len());
    let mut reader = Chunked::default();
    let mut start = 0;
    for end in splits {
        match reader.read(&bytes[start..end]) {
            Ok(Progress::Partial) => start = end,
            Ok(Progress::End(length)) => return Ok(Progress::End(start + length)),
            Err(MalformedChunk { at, reason }) => {
                return Err(MalformedChunk { at: start + at, reason });
            }
        }
    }
    Ok(Progress::Partial)
}

#[test]
fn well_formed_bodies_end_where_they_end() {
    for body in [
        "0\r\n\r\n",
        "000\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n0\r\n\r\n",
        "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=\"d;\\\"\\\\\te\u{e9}\";f\r\nhello\r\n0;g\r\n\r\n",
        "5 ; a = b ; c\r\nhello\r\n0\t;a\r\n\r\n",
        "5\r\n\r\n0\r\n\r\n0\r\n\r\n",
        "0\r\nX: y\r\nZ:\r\n!#$%: \ta\tb \u{e9}\r\n\r\n",
    ] {
        for behind in ["", "GET / HTTP/1.1\r\n", "\0"] {
            let text = format!("{body}{behind}");
            assert_eq!(read(text.as_bytes()), Ok(Progress::End(body.len())), "{text:?}");
        }
        for end in 0..body.len() {
            assert_eq!(read(&body.as_bytes()[..end]), Ok(Progress::Partial), "{body:?}, {end}");
        }
    }
}

#[test]
fn malformed_bodies_are_refused_at_the_first_wrong_byte() {
    for (body, at) in [
        ("\r\nhello", 0),
        ("5\r\nhello\r\n\r\n\r\n", 10),
        (" ;a=b\r\n", 0),
        (" 5\r\n", 0),
        (";a\r\n", 0),
        ("+5\r\n", 0),
        ("0x5\r\n", 1),
        ("5g\r\n", 1),
        ("5 \r\n", 2),
        ("5\t5\r\n", 2),
        ("5\n", 1),
        ("5\r5", 2),
        ("00000000000000005\r\n", 16),
        ("5;\r\n", 2),
        ("5; \r\n", 3),
        ("5;;a\r\n", 2),
        ("5;a;\r\n", 4),
        ("5;a \r\n", 4),
        ("5;a=\r\n", 4),
        ("5;a=;b\r\n", 4),
        ("5;=b\r\n", 2),
        ("5;a=b c\r\n", 6),
        ("5;a=b=c\r\n", 5),
        ("5;a\n", 3),
        ("5;a\0\r\n", 3),
        ("5;a=\"b\n\"\r\n", 6),
        ("5;a=\"b\r\n\"\r\n", 6),
        ("5;a=\"b\0\"\r\n", 6),
        ("5;a=\"b\\\r\n", 7),
        ("5;a=\"b\"c\r\n", 7),
        ("5;a=\"b\" \r\n", 8),
        ("5;a=b\"c\"\r\n", 5),
        ("5;a(b)\r\n", 3),
        ("5;\u{e9}\r\n", 2),
        ("5\r\nhell\r\n", 8),
        ("5\r\nhello\n", 8),
        ("5\r\nhello\rX", 9),
        ("0\r\n\n", 3),
        ("0\r\n\rX", 4),
        ("0\r\njunk\r\n", 7),
        ("0\r\nGET /x HTTP/1.1\r\n", 6),
        ("0\r\nX : a\r\n", 4),
        ("0\r\n: a\r\n", 3),
        ("0\r\nX: a\r\n b\r\n", 9),
        ("0\r\n X: a\r\n", 3),
        ("0\r\nX: a\0\r\n", 7),
        ("0\r\nX: a\n", 7),
        ("0\r\nX: a\rb", 8),
        ("0\r\nX: \x7f\r\n", 6),
        ("0\r\nX\u{e9}: a\r\n", 4),
    ] {
        let refused = read(body.as_bytes()).map_err(|malformed| malformed.at);
        assert_eq!(refused, Err(at), "{body:?}");
    }
}

#[test]
fn sizes_are_read_up_to_64_bits() {
    let text = format!("{:x}\r\n", u64::MAX);
    let mut reader = Chunked::default();
    assert_eq!(reader.read(text.as_bytes()), Ok(Progress::Partial));
    assert_eq!(reader.read(&[0; 9]), Ok(Progress::Partial));
    assert_eq!(reader.state, ChunkState::Data { left: u64::MAX - 9 });
}

#[test]
fn extensions_and_trailers_are_accepted_at_their_limits_and_refused_beyond() {
    let line = |length: usize| format!("1;{}\r\nx\r\n", "a".repeat(length - 1));
    assert!(read(line(LINE_BYTES_MAX).as_bytes()).is_ok());
    assert!(read(line(LINE_BYTES_MAX + 1).as_bytes()).is_err());
    let lines = line(LINE_BYTES_MAX).repeat(EXTENSION_BYTES_MAX / LINE_BYTES_MAX);
    assert!(read(lines.as_bytes()).is_ok());
    assert!(read(format!("{lines}1;").as_bytes()).is_err());
    let trailer = |bytes: usize| format!("0\r\nX:{}\r\n\r\n", "a".repeat(bytes - 2));
    assert!(read(trailer(TRAILER_BYTES_MAX).as_bytes()).is_ok());
    assert!(read(trailer(TRAILER_BYTES_MAX + 1).as_bytes()).is_err());
    let trailers = |fields: usize| format!("0\r\n{}\r\n", "X: a\r\n".repeat(fields));
    assert!(read(trailers(TRAILER_FIELDS_MAX).as_bytes()).is_ok());
    assert!(read(trailers(TRAILER_FIELDS_MAX + 1).as_bytes()).is_err());
}

/// A simple reference implementation, line by line. `None`: the last line is not complete.
fn read_lines(bytes: &[u8]) -> Option<Result<usize, ()>> {
    let mut at = 0;
    loop {
        let (line, next) = line_at(bytes, at)?;
        at = next;
        let Some(size) = size_of(line) else { return Some(Err(())) };
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        match bytes.get(end..end + 2)? {
            b"\r\n" => at = end + 2,
            _ => return Some(Err(())),
        }
    }
    loop {
        let (line, next) = line_at(bytes, at)?;
        at = next;
        if line.is_empty() {
            return Some(Ok(at));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Some(Err(())) };
        let is_field = colon > 0
            && line[..colon].iter().all(|byte| is_token(*byte))
            && line[colon..].iter().all(|byte| is_text(*byte));
        if !is_field {
            return Some(Err(()));
        }
    }
}

/// The line that begins at a place, without its CRLF, and where the next one begins.
fn line_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[at..at + length], at + length + 2))
}

/// `chunk-size [ chunk-ext ]`.
fn size_of(line: &[u8]) -> Option<u64> {
    let text: String = line.iter().map(|byte| char::from(*byte)).collect();
    let digits = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    let size = (digits <= 16).then(|| u64::from_str_radix(&text[..digits], 16).ok())??;
    let token = |text: &str| !text.is_empty() && text.bytes().all(is_token);
    let mut rest = &text[digits..];
    while !rest.is_empty() {
        let blank = [' ', '\t'];
        rest = rest.trim_start_matches(blank).strip_prefix(';')?.trim_start_matches(blank);
        let name = rest.find(|c: char| !c.is_ascii() || !is_token(c as u8)).unwrap_or(rest.len());
        if !token(&rest[..name]) {
            return None;
        }
        rest = &rest[name..];
        let Some(value) = rest.trim_start_matches(blank).strip_prefix('=') else { continue };
        let value = value.trim_start_matches(blank);
        rest = match value.strip_prefix('"') {
            None => {
                let end = |c: char| !c.is_ascii() || !is_token(c as u8);
                let end = value.find(end).unwrap_or(value.len());
                if end == 0 {
                    return None;
                }
                &value[end..]
            }
            Some(quoted) => {
                let mut characters = quoted.char_indices();
                loop {
                    match characters.next()? {
                        (at, '"') => break &quoted[at + 1..],
                        (_, '\\') if is_text(characters.next()?.1 as u8) => {}
                        (_, c) if c != '\\' && is_text(c as u8) => {}
                        _ => return None,
                    }
                }
            }
        };
    }
    Some(size)
}

/// Texts of pieces that bodies consist of, and of pieces that they must not have.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"0"[..],
        b"5",
        b"a",
        b"00",
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"0\r\n",
        b"5\r\nhello\r\n",
        b"1\r\nx\r\n",
        b"\n",
        b"\r",
        b";",
        b";",
        b"=",
        b"\"",
        b"\\",
        b" ",
        b"\t",
        b"x",
        b"hello",
        b"X: y\r\n",
        b":",
        b"\0",
        b"\xe9",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_split_reads_the_same(
        body in bodies(),
        splits in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let splits = splits.iter().map(|split| split.index(body.len() + 1)).collect();
        prop_assert_eq!(read_split(&body, splits), read(&body));
        prop_assert_eq!(read_split(&body, (0..body.len()).collect()), read(&body));
    }

    #[test]
    fn reading_line_by_line_comes_to_the_same(body in bodies(), more in bodies()) {
        match (read(&body), read_lines(&body)) {
            (Ok(Progress::End(end)), lines) => prop_assert_eq!(lines, Some(Ok(end))),
            (Ok(Progress::Partial), lines) => prop_assert_eq!(lines, None),
            // Refused before its line is complete: no end of the line would make it valid.
            (Err(MalformedChunk { at, .. }), None) => {
                for end in [&b""[..], b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"\"\r\n\r\n"] {
                    let longer = [&body[..], &more[..], end].concat();
                    let ends = read_lines(&longer).and_then(Result::ok);
                    prop_assert!(ends.is_none_or(|end| end <= at), "{:?}", longer);
                }
            }
            (Err(_), lines) => prop_assert_eq!(lines, Some(Err(()))),
        }
    }
}
