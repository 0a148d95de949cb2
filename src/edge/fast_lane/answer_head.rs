//! The head of an upstream's answer: read, and written as the client gets it.

use std::mem::MaybeUninit;

use http::{Method, StatusCode};

use super::fault::Fault;

/// How many fields an answer may have, and how long its head may be, in bytes: as in Pingora's lane.
const FIELDS_MAX: usize = 256;
pub(super) const HEAD_BYTES_MAX: usize = 1 << 20;

/// How the content of an answer is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Framing {
    /// There is none.
    Nothing,
    /// It has this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What an answer's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct AnswerHead {
    pub(in crate::edge) status: StatusCode,
    /// Its length, in bytes.
    pub(in crate::edge) length: usize,
    pub(in crate::edge) framing: Framing,
    /// Whether the upstream keeps the connection.
    pub(in crate::edge) keeps_connection: bool,
}

impl AnswerHead {
    /// Whether another answer follows this one (RFC 9110 §15.2).
    pub(in crate::edge) fn is_interim(&self) -> bool {
        self.status.is_informational()
    }
}

/// What decides how the head of an answer is written for the client.
#[derive(Clone, Copy)]
pub(super) struct Telling<'a> {
    pub(super) method: &'a Method,
    /// Whether a `Set-Cookie` field of the upstream is kept back.
    pub(super) keeps_back: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Whether it is for a session, whose answers no shared cache may keep.
    pub(super) is_of_session: bool,
    /// Whether the client's connection stays open.
    pub(super) keeps_connection: bool,
}

/// Reads the head that `bytes` begin with, and appends to `out` what the client gets of it. `None` if
/// it is not complete.
///
/// # Errors
///
/// If it is malformed, too long, or says two things of where the answer ends. Then nothing was appended.
pub(super) fn read(
    bytes: &[u8],
    telling: Telling<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<AnswerHead>, Fault> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let Some(length) = parse(bytes, &mut response, &mut fields)? else { return Ok(None) };
    let said = Said::of(response.headers);
    let head = framed(&response, &said, length, telling.method)?;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::malformed("a 101 that nobody asked for"));
    }
    write_status(head.status, response.reason, out);
    write_fields(response.headers, &said, telling, out);
    if !head.is_interim() {
        write_framing(head.framing, &said, head.status, out);
        write_ours(&said, telling, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(Some(head))
}

/// Reads what the head that `bytes` begin with says of the answer to a request with this method. `None`
/// if it is not complete.
///
/// # Errors
///
/// As [`read`], but for a 101.
pub(in crate::edge) fn frame(bytes: &[u8], method: &Method) -> Result<Option<AnswerHead>, Fault> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let Some(length) = parse(bytes, &mut response, &mut fields)? else { return Ok(None) };
    framed(&response, &Said::of(response.headers), length, method).map(Some)
}

/// Parses a head. Returns its length, in bytes; `None` if it is not complete.
fn parse<'h, 'b>(
    bytes: &'b [u8],
    response: &mut httparse::Response<'h, 'b>,
    fields: &'h mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<Option<usize>, Fault> {
    // As in Pingora's lane.
    let mut leniency = httparse::ParserConfig::default();
    leniency.allow_spaces_after_header_name_in_responses(true);
    leniency.allow_obsolete_multiline_headers_in_responses(true);
    match leniency.parse_response_with_uninit_headers(response, bytes, fields) {
        Ok(httparse::Status::Complete(length)) => Ok(Some(length)),
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => {
            Err(Fault::unreadable(httparse::Error::TooManyHeaders))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(Fault::unreadable(error)),
    }
}

/// What a parsed head says of its answer: above all, where that ends (RFC 9112 §6.3).
fn framed(
    response: &httparse::Response<'_, '_>,
    said: &Said<'_>,
    length: usize,
    method: &Method,
) -> Result<AnswerHead, Fault> {
    let code = response.code.unwrap_or_default();
    let status =
        StatusCode::from_u16(code).map_err(|_| Fault::malformed("a status that is none"))?;
    let is_http11 = response.version == Some(1);
    let has_content =
        *method != Method::HEAD && !status.is_informational() && !matches!(code, 204 | 304);
    let framing = match (has_content, said.coding, said.length) {
        // RFC 9112 §6.3: a coding overrides a length, whatever that says.
        (_, Coding::None, Length::Odd(what)) => return Err(Fault::malformed(what)),
        (false, _, _) => Framing::Nothing,
        (true, Coding::Chunked, _) => Framing::Chunked,
        // It cannot be known where it ends.
        (true, Coding::Other, _) => {
            return Err(Fault::malformed("a transfer coding that does not end with `chunked`"));
        }
        (true, Coding::None, Length::Said(length)) => Framing::Length(length),
        (true, Coding::None, Length::Unsaid) => Framing::UntilClose,
    };
    // RFC 9112 §6.1 and §6.3: who names a coding in HTTP/1.0, or a length beside it, may not know where the
    // answer ends.
    let is_certain = said.coding == Coding::None || (is_http11 && said.length == Length::Unsaid);
    let is_kept = said.keeps.unwrap_or(is_http11) && is_certain;
    let keeps_connection = is_kept && framing != Framing::UntilClose;
    Ok(AnswerHead { status, length, framing, keeps_connection })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    /// `chunked`, perhaps after others.
    Chunked,
    /// Something else.
    Other,
}

/// What is said of the length of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Unsaid,
    Said(u64),
    /// Something that is no length, or two.
    Odd(&'static str),
}

/// What the fields of an answer say of itself and of its connection.
#[derive(Debug)]
struct Said<'a> {
    coding: Coding,
    /// The codings, as they were written.
    codings: &'a [u8],
    length: Length,
    /// Whether the connection stays, if that is said.
    keeps: Option<bool>,
    /// The values of `Connection`.
    connection: Vec<&'a [u8]>,
    has_date: bool,
    has_cache_control: bool,
}

impl<'a> Said<'a> {
    fn of(fields: &[httparse::Header<'a>]) -> Self {
        let mut said = Self {
            coding: Coding::None,
            codings: b"",
            length: Length::Unsaid,
            keeps: None,
            connection: Vec::new(),
            has_date: false,
            has_cache_control: false,
        };
        for httparse::Header { name, value } in fields {
            match name.len() {
                4 if name.eq_ignore_ascii_case("date") => said.has_date = true,
                10 if name.eq_ignore_ascii_case("connection") => {
                    said.keeps = keeps(value).or(said.keeps);
                    said.connection.push(value);
                }
                13 if name.eq_ignore_ascii_case("cache-control") => said.has_cache_control = true,
                14 if name.eq_ignore_ascii_case("content-length") => {
                    said.length = length_of(value, said.length);
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    said.coding = match (ends_with_chunked(value), said.coding) {
                        (true, Coding::None) => Coding::Chunked,
                        (true | false, _) => Coding::Other,
                    };
                    said.codings = value;
                }
                _ => {}
            }
        }
        said
    }

    /// Whether `Connection` names this field, which is then about the upstream's connection only.
    fn names(&self, name: &str) -> bool {
        let named = self.connection.iter().flat_map(|value| value.split(|byte| *byte == b','));
        named.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }
}

fn keeps(connection: &[u8]) -> Option<bool> {
    let options = || connection.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if options().any(|option| option.eq_ignore_ascii_case(b"close")) {
        return Some(false);
    }
    options().any(|option| option.eq_ignore_ascii_case(b"keep-alive")).then_some(true)
}

/// Whether `chunked` is the last of these codings, and no other.
fn ends_with_chunked(codings: &[u8]) -> bool {
    let mut codings = codings.split(|byte| *byte == b',').rev().map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    codings.next().is_some_and(is_chunked) && !codings.any(is_chunked)
}

/// The length that a field says, also where it says the same one again (RFC 9110 §8.6).
fn length_of(value: &[u8], before: Length) -> Length {
    let mut length = before;
    for digits in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        // 19 digits fit into 64 bits.
        if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
            return Length::Odd("an odd Content-Length");
        }
        let read = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        length = match length {
            Length::Unsaid => Length::Said(read),
            Length::Said(said) if said == read => Length::Said(said),
            Length::Said(_) => Length::Odd("more than one Content-Length"),
            Length::Odd(what) => return Length::Odd(what),
        };
    }
    length
}

fn write_status(status: StatusCode, reason: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_fields(
    fields: &[httparse::Header<'_>],
    said: &Said<'_>,
    telling: Telling<'_>,
    out: &mut Vec<u8>,
) {
    for httparse::Header { name, value } in fields {
        // The length is written in one spelling, where there is one.
        if is_of_connection(name)
            || (name.len() == 14 && name.eq_ignore_ascii_case("content-length"))
            || (!said.connection.is_empty() && said.names(name))
            || (name.len() == 10
                && name.eq_ignore_ascii_case("set-cookie")
                && (telling.keeps_back)(value))
        {
            continue;
        }
        write_field(name.as_bytes(), value, out);
    }
}

/// Fields that are about one connection (RFC 9110 §7.6.1).
fn is_of_connection(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is("te"),
        7 => is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}

fn write_framing(framing: Framing, said: &Said<'_>, status: StatusCode, out: &mut Vec<u8>) {
    match (framing, said.length) {
        (Framing::Length(length), _) => write_length(length, out),
        (Framing::Chunked, _) => write_field(b"Transfer-Encoding", said.codings, out),
        (Framing::UntilClose, _) => write_field(b"Transfer-Encoding", b"chunked", out),
        // RFC 9110 §8.6: how long the content would be.
        (Framing::Nothing, Length::Said(length))
            if status != StatusCode::NO_CONTENT && said.coding == Coding::None =>
        {
            write_length(length, out);
        }
        (Framing::Nothing, _) => {}
    }
}

fn write_length(length: u64, out: &mut Vec<u8>) {
    write_field(b"Content-Length", itoa::Buffer::new().format(length).as_bytes(), out);
}

/// What we say beside the upstream.
fn write_ours(said: &Said<'_>, telling: Telling<'_>, out: &mut Vec<u8>) {
    if !said.has_date {
        let now = httpdate::fmt_http_date(crate::clock::wall());
        write_field(b"Date", now.as_bytes(), out);
    }
    if telling.is_of_session && (!said.has_cache_control || said.names("cache-control")) {
        out.extend_from_slice(b"Cache-Control: no-store\r\n");
    }
    out.extend_from_slice(match telling.keeps_connection {
        true => b"Connection: keep-alive\r\n",
        false => b"Connection: close\r\n",
    });
}

fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value);
    // RFC 9112 §5.2: a value on several lines goes on in one.
    if memchr::memchr2(b'\r', b'\n', value).is_some() {
        for byte in &mut out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
