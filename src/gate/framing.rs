//! Reads the head of an HTTP/1 message before anything else trusts it.
//!
//! If a gateway and an upstream disagree on where a request ends, requests can be smuggled. So only
//! one reading is accepted: RFC 9112 without any of its leniencies. The gateway refuses a bare LF,
//! folded lines, space before a colon, a repeated or odd `Content-Length`, a `Transfer-Encoding`
//! that is not exactly `chunked`, and both of them together. [`chunked`] reads chunked bodies.

pub mod chunked;
pub mod http2;

use std::ops::Range;

use super::denial::Slug;

/// Bounds on a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the request line to the empty line, both included.
    pub bytes_max: usize,
    /// Header fields.
    pub fields_max: usize,
}

/// The state of the first bytes of a connection, or of the next ones on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A complete head.
    Complete(Message),
    /// The beginning of one.
    Partial,
    /// A head whose query, within this many bytes, holds characters that parsers do not accept. It
    /// must be read again from its beginning once [`escape_query`] has escaped them.
    Unescaped(usize),
}

/// Escapes `"`, `<` and `>` in the query of a request line, which ends at `end` in `head`, as
/// browsers do (URL Standard, query percent-encode set): Pingora's parser and many upstreams would
/// refuse them. The query means the same either way.
pub fn escape_query(head: &[u8], end: usize) -> Vec<u8> {
    let (line, rest) = head.split_at(end.min(head.len()));
    let query = memchr::memchr(b'?', line).unwrap_or(line.len());
    let mut escaped = line[..query].to_vec();
    for byte in &line[query..] {
        match byte {
            b'"' => escaped.extend_from_slice(b"%22"),
            b'<' => escaped.extend_from_slice(b"%3C"),
            b'>' => escaped.extend_from_slice(b"%3E"),
            other => escaped.push(*other),
        }
    }
    escaped.extend_from_slice(rest);
    escaped
}

/// What a complete head says about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The length of the head, in bytes, with the empty line that ends it.
    pub head_bytes: usize,
    /// The framing of the body that follows.
    pub body: Body,
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub waits_to_continue: bool,
}

/// How a request's body is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It has this many bytes: none, unless a field says otherwise.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// The reading of one head, whose bytes may arrive in any number of pieces. Bytes that were read
/// are not read again.
#[derive(Debug, Default)]
pub struct Scan {
    /// Where the current line begins.
    line: usize,
    /// Up to where the end of the line was searched and not found.
    searched: usize,
    lines: usize,
    /// Whether the head follows an empty line.
    follows_empty_line: bool,
    fields: Fields,
}

impl Scan {
    /// Reads on. `bytes` is all of the head that has arrived, and perhaps what follows it. It
    /// begins with the bytes of the previous call.
    ///
    /// # Errors
    ///
    /// [`Slug::HeadersTooLarge`] beyond the limits, [`Slug::HostMissing`] without exactly one
    /// `Host` (HTTP/1.0: with more than one), [`Slug::RequestTarget`] for a target with characters
    /// that must be encoded, [`Slug::TransferCoding`] for a coding other than `chunked`, and
    /// [`Slug::RequestFraming`] for everything else. After an error nothing more can be read.
    pub fn read(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Head, Slug> {
        loop {
            let Some(length) = memchr::memchr(b'\n', &bytes[self.searched..]) else {
                self.searched = bytes.len();
                // A line that never ends is refused as soon as it passes the limit.
                let over = bytes.len() > limits.bytes_max;
                return if over { Err(Slug::HeadersTooLarge) } else { Ok(Head::Partial) };
            };
            let end = self.searched + length;
            if end >= limits.bytes_max {
                return Err(Slug::HeadersTooLarge);
            }
            // RFC 9112 §2.2 lets a recipient accept a lone LF as a line end. Two recipients that
            // differ in it disagree on every line, so it is refused.
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Slug::RequestFraming)?;
            let begins_at = std::mem::replace(&mut self.line, end + 1);
            self.searched = self.line;
            match (self.lines, line.is_empty()) {
                // RFC 9112 §2.2: some clients send one empty line after a body.
                (0, true) if !self.follows_empty_line => {
                    self.follows_empty_line = true;
                    continue;
                }
                (0, _) => match self.fields.request_line(line, begins_at)? {
                    Query::Plain => {}
                    Query::Unescaped => return Ok(Head::Unescaped(end)),
                },
                (_, true) => return self.fields.finish(bytes, self.line).map(Head::Complete),
                (_, false) if self.lines > limits.fields_max => return Err(Slug::HeadersTooLarge),
                (_, false) => self.fields.take(line, begins_at)?,
            }
            self.lines += 1;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HttpVersion {
    Http10,
    Http11,
}

/// Whether parsers accept the query of a target as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    Plain,
    Unescaped,
}

/// What the rules that span several lines have to remember. Texts are ranges in the head.
#[derive(Debug, Default)]
struct Fields {
    version: Option<HttpVersion>,
    /// The authority of a target in absolute form.
    authority: Option<Range<usize>>,
    host: Range<usize>,
    hosts: usize,
    lengths: usize,
    length: u64,
    codings: usize,
    /// Whether there is a coding other than `chunked`.
    has_other_coding: bool,
    waits_to_continue: bool,
}

impl Fields {
    /// `method SP request-target SP HTTP-version` (RFC 9112 §3), single spaces.
    fn request_line(&mut self, line: &[u8], begins_at: usize) -> Result<Query, Slug> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(version)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Slug::RequestFraming);
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return Err(Slug::RequestFraming);
        }
        self.version = match version {
            b"HTTP/1.1" => Some(HttpVersion::Http11),
            b"HTTP/1.0" => Some(HttpVersion::Http10),
            // A target with a space in it ends up here too.
            _ => return Err(Slug::RequestFraming),
        };
        let query = memchr::memchr(b'?', target).unwrap_or(target.len());
        let (path, query) = target.split_at(query);
        // RFC 3986 §2: characters that a URI may not hold must be encoded, and the fragment is
        // never sent. Browsers and scripts send some of these unencoded in queries, where they are
        // harmless.
        if !path.iter().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\`".contains(byte))
            || !query.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
        {
            return Err(Slug::RequestTarget);
        }
        // RFC 9112 §3.2: origin form or absolute form. Authority form belongs to CONNECT, which
        // this gateway does not serve, and everything else is opaque.
        if method == b"CONNECT" {
            return Err(Slug::RequestTarget);
        }
        if !target.starts_with(b"/") {
            let authority = absolute_authority(target).ok_or(Slug::RequestTarget)?;
            let target_at = begins_at + method.len() + 1;
            self.authority = Some(target_at + authority.start..target_at + authority.end);
        }
        match query.iter().any(|byte| b"\"<>".contains(byte)) {
            true => Ok(Query::Unescaped),
            false => Ok(Query::Plain),
        }
    }

    fn take(&mut self, line: &[u8], begins_at: usize) -> Result<(), Slug> {
        let colon = memchr::memchr(b':', line).ok_or(Slug::RequestFraming)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // Also refuses a folded line (RFC 9112 §5.2) and a space before the colon (§5.1).
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Slug::RequestFraming);
        }
        // RFC 9110 §5.5: no control characters, but for the tab.
        if has_control(value) {
            return Err(Slug::RequestFraming);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                let host_at = begins_at + line.len() - value.trim_ascii_start().len();
                self.host = host_at..host_at + value.trim_ascii().len();
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.waits_to_continue = value.trim_ascii().eq_ignore_ascii_case(b"100-continue");
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                let digits = value.trim_ascii();
                // 19 digits fit into 64 bits.
                if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit)
                {
                    return Err(Slug::RequestFraming);
                }
                self.length =
                    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.codings += 1;
                let mut codings = value.split(|byte| *byte == b',').rev().map(<[u8]>::trim_ascii);
                let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
                // RFC 9112 §6.3: without `chunked` at the end, the body has no known end.
                if !codings.next().is_some_and(is_chunked) {
                    return Err(Slug::RequestFraming);
                }
                for coding in codings {
                    let is_coding = !coding.is_empty() && coding.iter().all(|byte| is_token(*byte));
                    if !is_coding || is_chunked(coding) {
                        return Err(Slug::RequestFraming);
                    }
                    self.has_other_coding = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `head_bytes` is where the head in `bytes` ends.
    fn finish(&self, bytes: &[u8], head_bytes: usize) -> Result<Message, Slug> {
        // RFC 9112 §6.1 and §6.3.
        if self.lengths + self.codings > 1 {
            return Err(Slug::RequestFraming);
        }
        if self.codings == 1 && self.version == Some(HttpVersion::Http10) {
            return Err(Slug::RequestFraming);
        }
        let host = &bytes[self.host.clone()];
        // RFC 9112 §3.2: HTTP/1.1 requires it, HTTP/1.0 does not define it.
        let is_named = match self.version {
            Some(HttpVersion::Http10) => self.hosts <= 1,
            Some(HttpVersion::Http11) | None => self.hosts == 1,
        };
        if !is_named || host.contains(&b'@') {
            return Err(Slug::HostMissing);
        }
        // RFC 9112 §3.2.2 lets the target win, but two that disagree suggest an attack.
        if self.authority.clone().is_some_and(|authority| &bytes[authority] != host) {
            return Err(Slug::RequestTarget);
        }
        // RFC 9112 §6.1.
        if self.has_other_coding {
            return Err(Slug::TransferCoding);
        }
        let body = match self.codings {
            0 => Body::Length(self.length),
            _ => Body::Chunked,
        };
        Ok(Message { head_bytes, body, waits_to_continue: self.waits_to_continue })
    }
}

/// Where the authority of `http://authority/…` or `https://authority/…` is.
fn absolute_authority(target: &[u8]) -> Option<Range<usize>> {
    let (start, rest) = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some((scheme.len(), rest))
    })?;
    let length = rest.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(rest.len());
    (length > 0).then(|| start..start + length)
}

/// Without an early exit, so that the compiler can vectorize it.
fn has_control(value: &[u8]) -> bool {
    value
        .iter()
        .fold(false, |found, byte| found | ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f))
}

/// RFC 9110 §5.6.2.
const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests;
