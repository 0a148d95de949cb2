//! Reads a chunked body (RFC 9112 §7.1) without any leniency.
//!
//! Chunk sizes are hexadecimal digits and nothing else. Extensions are names with or without a
//! token or a quoted string. Trailer fields are read like header fields, and every line ends with
//! CRLF. Bad whitespace around `;` and `=` is accepted, as §7.1.1 demands.

use super::is_token;

/// How many digits a chunk size may have, with leading zeros.
const SIZE_DIGITS_MAX: u8 = 16;

/// How long the extensions of one chunk may be, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;

/// How long the extensions of all chunks of a body may be, in bytes.
const EXTENSION_BYTES_MAX: usize = 16 << 10;

/// How long the trailer section may be, in bytes.
const TRAILER_BYTES_MAX: usize = 32 << 10;

/// How many fields a trailer section may have.
const TRAILER_FIELDS_MAX: usize = 100;

/// The reading of one body, whose bytes may arrive in any number of pieces.
#[derive(Debug)]
pub struct Chunked {
    state: ChunkState,
    /// The length of the current chunk's extensions.
    line_bytes: usize,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailer_fields: usize,
}

/// How far some bytes belong to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of them belong to it, and more must come.
    Partial,
    /// This many of them belong to it, and end it.
    End(usize),
}

/// Bytes that no chunked body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedChunk {
    /// How many bytes before them are valid.
    pub at: usize,
    /// What is wrong with them.
    pub reason: &'static str,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// A digit of the size, after this many.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        at: ExtensionState,
    },
    SizeLineFeed {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataLineFeed,
    Trailer(TrailerState),
    End,
}

/// A position in the extensions of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExtensionState {
    /// A `;`, after bad whitespace.
    Semicolon,
    /// An extension's name, perhaps after bad whitespace.
    NameStart,
    Name,
    /// A `=` or `;`, after a name and bad whitespace.
    NameEnd,
    /// An extension's value, perhaps after bad whitespace.
    ValueStart,
    Value,
    Quoted,
    Escaped,
    QuotedEnd,
}

/// A position in the trailer section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrailerState {
    /// A trailer field, or the line that ends the section.
    FieldStart,
    Name,
    Value,
    LineFeed,
    LastLineFeed,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: ChunkState::Size { size: 0, digits: 0 },
            line_bytes: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
        }
    }
}

impl Chunked {
    /// Reads the next bytes.
    ///
    /// # Errors
    ///
    /// [`MalformedChunk`], after which nothing can be read.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Progress, MalformedChunk> {
        self.read_data(bytes, |_| {})
    }

    /// Reads the next bytes, and reports which of them are data: neither framing nor trailers.
    ///
    /// # Errors
    ///
    /// [`MalformedChunk`], after which nothing can be read. The data before it was reported.
    pub fn read_data(
        &mut self,
        bytes: &[u8],
        mut tell: impl FnMut(&[u8]),
    ) -> Result<Progress, MalformedChunk> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let ChunkState::Data { left } = self.state {
                let here = bytes.len() - at;
                let taken = usize::try_from(left).map_or(here, |left| left.min(here));
                tell(&bytes[at..at + taken]);
                at += taken;
                self.state = match left - taken as u64 {
                    0 => ChunkState::DataReturn,
                    left => ChunkState::Data { left },
                };
                continue;
            }
            self.state = self.after(*byte).map_err(|reason| MalformedChunk { at, reason })?;
            at += 1;
            if self.state == ChunkState::End {
                return Ok(Progress::End(at));
            }
        }
        Ok(Progress::Partial)
    }

    /// The state after a byte that is not data.
    fn after(&mut self, byte: u8) -> Result<ChunkState, &'static str> {
        match self.state {
            ChunkState::Size { size, digits } => self.after_size(size, digits, byte),
            ChunkState::Extension { size, at } => self.after_extension(size, at, byte),
            ChunkState::SizeLineFeed { size } => {
                self.line_bytes = 0;
                match (byte, size) {
                    (b'\n', 0) => Ok(ChunkState::Trailer(TrailerState::FieldStart)),
                    (b'\n', left) => Ok(ChunkState::Data { left }),
                    _ => Err("the line of a chunk size does not end with CRLF"),
                }
            }
            ChunkState::Data { .. } | ChunkState::DataReturn => match byte {
                b'\r' => Ok(ChunkState::DataLineFeed),
                _ => Err(DATA),
            },
            ChunkState::DataLineFeed => match byte {
                b'\n' => Ok(ChunkState::Size { size: 0, digits: 0 }),
                _ => Err(DATA),
            },
            ChunkState::Trailer(at) => self.after_trailer(at, byte),
            ChunkState::End => Err("there is more after the end"),
        }
    }

    fn after_size(&mut self, size: u64, digits: u8, byte: u8) -> Result<ChunkState, &'static str> {
        match (char::from(byte).to_digit(16), digits) {
            (Some(digit), 0..SIZE_DIGITS_MAX) => {
                Ok(ChunkState::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (Some(_), _) => Err("a chunk size is too large"),
            (None, 0) => Err("a chunk has no size"),
            (None, _) if byte == b'\r' => Ok(ChunkState::SizeLineFeed { size }),
            (None, _) => {
                let at = self.separator(
                    byte,
                    ExtensionState::Semicolon,
                    "a chunk size is not a number",
                )?;
                Ok(ChunkState::Extension { size, at })
            }
        }
    }

    fn after_extension(
        &mut self,
        size: u64,
        at: ExtensionState,
        byte: u8,
    ) -> Result<ChunkState, &'static str> {
        use ExtensionState::{
            Escaped, Name, NameEnd, NameStart, Quoted, QuotedEnd, Semicolon, Value, ValueStart,
        };
        if byte == b'\r' && matches!(at, Name | Value | QuotedEnd) {
            return Ok(ChunkState::SizeLineFeed { size });
        }
        let at = match (at, byte) {
            (Name | NameEnd, b'=') => self.extend(ValueStart)?,
            (Name, _) if is_token(byte) => self.extend(Name)?,
            (Name | NameEnd, _) => self.separator(byte, NameEnd, EXTENSION)?,
            (Value, _) if is_token(byte) => self.extend(Value)?,
            (Semicolon | Value | QuotedEnd, _) => self.separator(byte, Semicolon, EXTENSION)?,
            (NameStart | ValueStart, b' ' | b'\t') => self.extend(at)?,
            (NameStart, _) if is_token(byte) => self.extend(Name)?,
            (ValueStart, b'"') => self.extend(Quoted)?,
            (ValueStart, _) if is_token(byte) => self.extend(Value)?,
            (Quoted, b'"') => self.extend(QuotedEnd)?,
            (Quoted, b'\\') => self.extend(Escaped)?,
            (Quoted | Escaped, _) if is_text(byte) => self.extend(Quoted)?,
            (NameStart | ValueStart | Quoted | Escaped, _) => {
                self.extend(at)?;
                return Err(EXTENSION);
            }
        };
        Ok(ChunkState::Extension { size, at })
    }

    fn after_trailer(&mut self, at: TrailerState, byte: u8) -> Result<ChunkState, &'static str> {
        use TrailerState::{FieldStart, LastLineFeed, LineFeed, Name, Value};
        let next = match (at, byte) {
            (FieldStart, b'\r') => LastLineFeed,
            (FieldStart, _) if is_token(byte) => self.trail(1).map(|()| Name)?,
            (Name, b':') => self.trail(0).map(|()| Value)?,
            (Name, _) if is_token(byte) => self.trail(0).map(|()| Name)?,
            (Value, b'\r') => LineFeed,
            (Value, _) if is_text(byte) => self.trail(0).map(|()| Value)?,
            (LineFeed, b'\n') => FieldStart,
            (LastLineFeed, b'\n') => return Ok(ChunkState::End),
            (FieldStart | Name | Value | LineFeed | LastLineFeed, _) => return Err(TRAILER),
        };
        Ok(ChunkState::Trailer(next))
    }

    /// What is expected after bad whitespace or a `;`, where nothing else is allowed. Anything else
    /// is refused with this reason.
    fn separator(
        &mut self,
        byte: u8,
        after_space: ExtensionState,
        reason: &'static str,
    ) -> Result<ExtensionState, &'static str> {
        match byte {
            b' ' | b'\t' => self.extend(after_space),
            b';' => self.extend(ExtensionState::NameStart),
            _ => self.extend(after_space).and(Err(reason)),
        }
    }

    /// Counts a byte of an extension (RFC 9112 §7.1.1 asks recipients to limit them), then goes to
    /// `next`.
    const fn extend(&mut self, next: ExtensionState) -> Result<ExtensionState, &'static str> {
        self.line_bytes += 1;
        self.extension_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX || self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err("the chunk extensions are too long");
        }
        Ok(next)
    }

    /// Counts a byte of the trailer section. `fields` is how many fields it begins.
    const fn trail(&mut self, fields: usize) -> Result<(), &'static str> {
        self.trailer_bytes += 1;
        self.trailer_fields += fields;
        if self.trailer_bytes > TRAILER_BYTES_MAX || self.trailer_fields > TRAILER_FIELDS_MAX {
            return Err("the trailer section is too long");
        }
        Ok(())
    }
}

const EXTENSION: &str = "a chunk extension is malformed";
const DATA: &str = "the data of a chunk does not end where its size says";
const TRAILER: &str = "a trailer field is malformed";

/// What may stand in a field value or a quoted string (RFC 9110 §5.5, §5.6.4): no control
/// characters, but for the tab.
const fn is_text(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

#[cfg(test)]
mod tests;
