//! A request that is one HTTP/1.1 head, and perhaps a short body that came with it.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::gate::framing::{Body, Message};

/// A plain request: what the lane reads of a head that was read strictly before.
#[derive(Debug)]
pub(in crate::edge) struct PlainRequest {
    /// Head and body.
    bytes: Bytes,
    /// The length of the head.
    head_bytes: usize,
    pub(in crate::edge) method: Method,
    target: Range<usize>,
    lines: Vec<FieldLine>,
    pub(in crate::edge) headers: HeaderMap,
    /// Whether the client wants the connection closed after the answer.
    pub(in crate::edge) wants_close: bool,
}

/// A field line. The ranges are places in the head.
#[derive(Debug)]
struct FieldLine {
    name: HeaderName,
    written: Range<usize>,
    value: Range<usize>,
}

/// A field line, as it was sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct SentField<'a> {
    pub(in crate::edge) name: &'a HeaderName,
    /// The name as the client wrote it.
    pub(in crate::edge) written: &'a [u8],
    pub(in crate::edge) value: &'a [u8],
}

impl PlainRequest {
    /// Reads `bytes`: a head in which the strict reading has found `message`, and what has come of its
    /// body.
    ///
    /// # Errors
    ///
    /// The same bytes, if the request is not plain.
    pub(in crate::edge) fn read(bytes: BytesMut, message: &Message) -> Result<Self, BytesMut> {
        let Message { head_bytes, body, waits_to_continue } = *message;
        let body_bytes = bytes.len().saturating_sub(head_bytes) as u64;
        let is_whole = body == Body::Length(body_bytes);
        if !is_whole || waits_to_continue {
            return Err(bytes);
        }
        let bytes = bytes.freeze();
        let read = read(&bytes);
        match read {
            Some((method, target, lines, headers, wants_close)) => {
                Ok(Self { bytes, head_bytes, method, target, lines, headers, wants_close })
            }
            None => Err(thaw(bytes)),
        }
    }

    /// Gives the bytes back that it was read from.
    pub(in crate::edge) fn into_bytes(self) -> BytesMut {
        let Self { bytes, headers, .. } = self;
        // Its values share the bytes.
        drop(headers);
        thaw(bytes)
    }

    /// The body; empty if there is none.
    pub(in crate::edge) fn body(&self) -> &[u8] {
        &self.bytes[self.head_bytes..]
    }

    /// The target, in origin form.
    pub(in crate::edge) fn target(&self) -> &[u8] {
        &self.bytes[self.target.clone()]
    }

    /// The target, to be kept.
    pub(in crate::edge) fn shared_target(&self) -> Bytes {
        self.bytes.slice(self.target.clone())
    }

    /// The field lines, in their order.
    pub(in crate::edge) fn fields(&self) -> impl Iterator<Item = SentField<'_>> {
        self.lines.iter().map(|FieldLine { name, written, value }| SentField {
            name,
            written: &self.bytes[written.clone()],
            value: &self.bytes[value.clone()],
        })
    }
}

fn thaw(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared))
}

type Parts = (Method, Range<usize>, Vec<FieldLine>, HeaderMap, bool);

/// `None` if the request is not plain.
fn read(head: &Bytes) -> Option<Parts> {
    // An empty line may come first.
    let begins_at = if head.starts_with(b"\r\n") { 2 } else { 0 };
    let mut lines = HeadLines { head, at: begins_at };
    let line = lines.next()?;
    let words = &head[line.clone()];
    let method_ends = memchr::memchr(b' ', words)?;
    let target_ends = memchr::memrchr(b' ', words)?;
    let target = line.start + method_ends + 1..line.start + target_ends;
    if &words[target_ends + 1..] != b"HTTP/1.1" || !head[target.clone()].starts_with(b"/") {
        return None;
    }
    let method = Method::from_bytes(&words[..method_ends]).ok()?;
    let mut fields = Vec::with_capacity(16);
    let mut headers = HeaderMap::with_capacity(16);
    let mut wants_close = false;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.start + memchr::memchr(b':', &head[line.clone()])?;
        let value = trimmed(head, colon + 1..line.end);
        let written = line.start..colon;
        let name = HeaderName::from_bytes(&head[written.clone()]).ok()?;
        if concerns_more(&name) {
            return None;
        }
        if name == header::CONNECTION {
            wants_close |= closes(&head[value.clone()])?;
        }
        headers.append(&name, HeaderValue::from_maybe_shared(head.slice(value.clone())).ok()?);
        fields.push(FieldLine { name, written, value });
    }
    Some((method, target, fields, headers, wants_close))
}

/// Fields that say more of the request than what it is: that its body comes in another way, or that
/// another protocol may follow.
fn concerns_more(name: &HeaderName) -> bool {
    matches!(name.as_str(), "transfer-encoding" | "expect" | "upgrade")
}

/// Whether a `Connection` field asks for the connection to be closed; `None` if it names anything but
/// whether it stays.
fn closes(value: &[u8]) -> Option<bool> {
    let mut closes = false;
    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if option.eq_ignore_ascii_case(b"close") {
            closes = true;
        } else if !option.eq_ignore_ascii_case(b"keep-alive") {
            return None;
        }
    }
    Some(closes)
}

/// The value without the white space around it (RFC 9112 §5.1).
fn trimmed(head: &[u8], value: Range<usize>) -> Range<usize> {
    let bytes = &head[value.clone()];
    let start = value.end - bytes.trim_ascii_start().len();
    start..start + bytes.trim_ascii().len()
}

/// The lines of a head, without their ends.
struct HeadLines<'a> {
    head: &'a [u8],
    at: usize,
}

impl Iterator for HeadLines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let end = start + memchr::memchr(b'\n', self.head.get(start..)?)?;
        self.at = end + 1;
        // The strict reading takes no line that ends in another way.
        Some(start..end.checked_sub(1).filter(|end| *end >= start)?)
    }
}

#[cfg(test)]
mod tests;
