//! The head of an HTTP/1 message, read before anything else believes it.
//!
//! A gateway and an upstream that disagree on where a request ends are a smuggling hole, so only
//! one reading is let through: RFC 9112 without any of its leniencies. Bare LF, folded lines,
//! space before a colon, a repeated or odd `Content-Length`, a `Transfer-Encoding` that is not
//! exactly `chunked`, both of them together: refused. [`chunked`] reads such a body.

pub mod chunked;
pub mod http2;

use super::denial::Slug;

/// Bounds on a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the request line to the empty line, both included.
    pub bytes_max: usize,
    /// Header fields.
    pub fields_max: usize,
}

/// What the first bytes of a connection, or the next ones on it, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A complete head of this many bytes.
    Complete(usize),
    /// The beginning of one.
    Partial,
}

/// Reads a request head.
///
/// # Errors
///
/// [`Slug::HeadersTooLarge`] beyond the limits, [`Slug::HostMissing`] without exactly one `Host`,
/// [`Slug::RequestTarget`] for a target with characters that must be encoded, and
/// [`Slug::RequestFraming`] for everything else.
pub fn read(bytes: &[u8], limits: HeadLimits) -> Result<Head, Slug> {
    let mut fields = Fields::default();
    let mut at = 0;
    let mut lines = 0;
    loop {
        let rest = &bytes[at..];
        let Some(length) = memchr::memchr(b'\n', rest) else {
            // A line that never ends is refused as soon as it passes the limit.
            let over = bytes.len() > limits.bytes_max;
            return if over { Err(Slug::HeadersTooLarge) } else { Ok(Head::Partial) };
        };
        at += length + 1;
        if at > limits.bytes_max {
            return Err(Slug::HeadersTooLarge);
        }
        // RFC 9112 §2.2 lets a recipient take a lone LF for a line end; two that differ in it
        // disagree on every line, so none is taken.
        let line = rest[..length].strip_suffix(b"\r").ok_or(Slug::RequestFraming)?;
        match (lines, line.is_empty()) {
            (0, _) => fields.request_line(line)?,
            (_, true) => return fields.finish().map(|()| Head::Complete(at)),
            (_, false) if lines > limits.fields_max => return Err(Slug::HeadersTooLarge),
            (_, false) => fields.take(line)?,
        }
        lines += 1;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// What the rules that span several lines need to remember.
#[derive(Default)]
struct Fields<'a> {
    version: Option<Version>,
    /// The authority of a target in absolute form.
    authority: Option<&'a [u8]>,
    host: &'a [u8],
    hosts: usize,
    lengths: usize,
    codings: usize,
}

impl<'a> Fields<'a> {
    /// `method SP request-target SP HTTP-version` (RFC 9112 §3), single spaces.
    fn request_line(&mut self, line: &'a [u8]) -> Result<(), Slug> {
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
            b"HTTP/1.1" => Some(Version::Http11),
            b"HTTP/1.0" => Some(Version::Http10),
            // A target with a space in it ends up here too.
            _ => return Err(Slug::RequestFraming),
        };
        // RFC 3986 §2: what may not stand in a URI must be encoded, the fragment is never sent.
        if !target.iter().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\`".contains(byte)) {
            return Err(Slug::RequestTarget);
        }
        // RFC 9112 §3.2: origin form or absolute form. Authority form belongs to CONNECT, which
        // this is not a proxy for, and everything else is opaque.
        if method == b"CONNECT" {
            return Err(Slug::RequestTarget);
        }
        if !target.starts_with(b"/") {
            self.authority = Some(absolute_authority(target).ok_or(Slug::RequestTarget)?);
        }
        Ok(())
    }

    fn take(&mut self, line: &'a [u8]) -> Result<(), Slug> {
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
                self.host = value.trim_ascii();
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                let digits = value.trim_ascii();
                // 19 digits fit into 64 bits.
                if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit)
                {
                    return Err(Slug::RequestFraming);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.codings += 1;
                if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Slug::RequestFraming);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Slug> {
        // RFC 9112 §6.1 and §6.3.
        if self.lengths + self.codings > 1 {
            return Err(Slug::RequestFraming);
        }
        if self.codings == 1 && self.version == Some(Version::Http10) {
            return Err(Slug::RequestFraming);
        }
        if self.hosts != 1 || self.host.contains(&b'@') {
            return Err(Slug::HostMissing);
        }
        // RFC 9112 §3.2.2 lets the target win; two that disagree are up to something.
        if self.authority.is_some_and(|authority| authority != self.host) {
            return Err(Slug::RequestTarget);
        }
        Ok(())
    }
}

/// The authority of `http://authority/…` or `https://authority/…`.
fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })?;
    let end = rest.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// Without an early way out, so that the compiler can look at many bytes at once.
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
