//! Reads a chunked body (RFC 9112 §7.1) without any leniency.
//!
//! Chunk sizes are hexadecimal digits and nothing else, extensions are names with or without a
//! token or a quoted string, trailer fields are read like header fields, and every line ends with
//! CRLF. Bad whitespace around `;` and `=` is taken, as §7.1.1 demands.

use super::is_token;

/// The digits of a chunk size; zeros in front of it count.
const SIZE_DIGITS_MAX: u8 = 16;

/// The extensions of one chunk, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;

/// The extensions of all chunks of a body, in bytes.
const EXTENSION_BYTES_MAX: usize = 16 << 10;

/// The trailer section, in bytes.
const TRAILER_BYTES_MAX: usize = 32 << 10;

/// The fields of a trailer section.
const TRAILER_FIELDS_MAX: usize = 100;

/// The reading of one body, whose bytes may arrive in any number of pieces.
#[derive(Debug)]
pub struct Chunked {
    state: ChunkState,
    /// Of the current chunk's extensions.
    line_bytes: usize,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailer_fields: usize,
}

/// What some bytes of a body were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of them belong to it, and more must come.
    Partial,
    /// So many of them belong to it, and end it.
    End(usize),
}

/// Bytes that no chunked body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedChunk {
    /// How many bytes in front of them are in order.
    pub at: usize,
    /// What is wrong with them.
    pub reason: &'static str,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// A digit of the size, after so many.
    Size {
        size: u64,
        digits: u8,
    },
    /// A `;`, after bad whitespace.
    Semicolon {
        size: u64,
    },
    /// An extension's name, perhaps after bad whitespace.
    NameStart {
        size: u64,
    },
    Name {
        size: u64,
    },
    /// A `=` or `;`, after a name and bad whitespace.
    NameEnd {
        size: u64,
    },
    /// An extension's value, perhaps after bad whitespace.
    ValueStart {
        size: u64,
    },
    Value {
        size: u64,
    },
    Quoted {
        size: u64,
    },
    Escaped {
        size: u64,
    },
    QuotedEnd {
        size: u64,
    },
    SizeLineFeed {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataLineFeed,
    /// A trailer field, or the line that ends the section.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    End,
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
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let ChunkState::Data { left } = self.state {
                let here = bytes.len() - at;
                let taken = usize::try_from(left).map_or(here, |left| left.min(here));
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
        use ChunkState::{
            Data, DataLineFeed, DataReturn, End, Escaped, LastLineFeed, Name, NameEnd, NameStart,
            Quoted, QuotedEnd, Semicolon, Size, SizeLineFeed, Trailer, TrailerLineFeed,
            TrailerName, TrailerValue, Value, ValueStart,
        };
        match self.state {
            Size { size, digits } => match (char::from(byte).to_digit(16), digits) {
                (Some(digit), 0..SIZE_DIGITS_MAX) => {
                    Ok(Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
                }
                (Some(_), _) => Err("a chunk size is too large"),
                (None, 0) => Err("a chunk has no size"),
                (None, _) => match byte {
                    b'\r' => Ok(SizeLineFeed { size }),
                    _ => self.extension(byte, Semicolon { size }, NameStart { size }),
                },
            },
            Semicolon { size } => self.extension(byte, Semicolon { size }, NameStart { size }),
            NameStart { size } => {
                self.extend()?;
                match byte {
                    b' ' | b'\t' => Ok(NameStart { size }),
                    _ if is_token(byte) => Ok(Name { size }),
                    _ => Err(EXTENSION),
                }
            }
            Name { size } => match byte {
                b'\r' => Ok(SizeLineFeed { size }),
                _ if is_token(byte) => self.extend().map(|()| Name { size }),
                b'=' => self.extend().map(|()| ValueStart { size }),
                _ => self.extension(byte, NameEnd { size }, NameStart { size }),
            },
            NameEnd { size } => match byte {
                b'=' => self.extend().map(|()| ValueStart { size }),
                _ => self.extension(byte, NameEnd { size }, NameStart { size }),
            },
            ValueStart { size } => {
                self.extend()?;
                match byte {
                    b' ' | b'\t' => Ok(ValueStart { size }),
                    b'"' => Ok(Quoted { size }),
                    _ if is_token(byte) => Ok(Value { size }),
                    _ => Err(EXTENSION),
                }
            }
            Value { size } => match byte {
                b'\r' => Ok(SizeLineFeed { size }),
                _ if is_token(byte) => self.extend().map(|()| Value { size }),
                _ => self.extension(byte, Semicolon { size }, NameStart { size }),
            },
            Quoted { size } => {
                self.extend()?;
                match byte {
                    b'"' => Ok(QuotedEnd { size }),
                    b'\\' => Ok(Escaped { size }),
                    _ if is_text(byte) => Ok(Quoted { size }),
                    _ => Err(EXTENSION),
                }
            }
            Escaped { size } => {
                self.extend()?;
                if is_text(byte) { Ok(Quoted { size }) } else { Err(EXTENSION) }
            }
            QuotedEnd { size } => match byte {
                b'\r' => Ok(SizeLineFeed { size }),
                _ => self.extension(byte, Semicolon { size }, NameStart { size }),
            },
            SizeLineFeed { size } => {
                self.line_bytes = 0;
                match (byte, size) {
                    (b'\n', 0) => Ok(Trailer),
                    (b'\n', left) => Ok(Data { left }),
                    _ => Err("the line of a chunk size does not end with CRLF"),
                }
            }
            Data { .. } | DataReturn => match byte {
                b'\r' => Ok(DataLineFeed),
                _ => Err(DATA),
            },
            DataLineFeed => match byte {
                b'\n' => Ok(Size { size: 0, digits: 0 }),
                _ => Err(DATA),
            },
            Trailer => match byte {
                b'\r' => Ok(LastLineFeed),
                _ if is_token(byte) => self.trail(1).map(|()| TrailerName),
                _ => Err(TRAILER),
            },
            TrailerName => match byte {
                b':' => self.trail(0).map(|()| TrailerValue),
                _ if is_token(byte) => self.trail(0).map(|()| TrailerName),
                _ => Err(TRAILER),
            },
            TrailerValue => match byte {
                b'\r' => Ok(TrailerLineFeed),
                _ if is_text(byte) => self.trail(0).map(|()| TrailerValue),
                _ => Err(TRAILER),
            },
            TrailerLineFeed => match byte {
                b'\n' => Ok(Trailer),
                _ => Err(TRAILER),
            },
            LastLineFeed => match byte {
                b'\n' => Ok(End),
                _ => Err(TRAILER),
            },
            End => Err("there is more after the end"),
        }
    }

    /// The state after bad whitespace or a `;`, wherever nothing else may stand.
    fn extension(
        &mut self,
        byte: u8,
        space: ChunkState,
        semicolon: ChunkState,
    ) -> Result<ChunkState, &'static str> {
        self.extend()?;
        match byte {
            b' ' | b'\t' => Ok(space),
            b';' => Ok(semicolon),
            _ if matches!(self.state, ChunkState::Size { .. }) => {
                Err("a chunk size is not a number")
            }
            _ => Err(EXTENSION),
        }
    }

    /// Counts a byte of an extension (RFC 9112 §7.1.1: they ought to be limited).
    const fn extend(&mut self) -> Result<(), &'static str> {
        self.line_bytes += 1;
        self.extension_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX || self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err("the chunk extensions are too long");
        }
        Ok(())
    }

    /// Counts a byte of the trailer section, which begins so many fields.
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
