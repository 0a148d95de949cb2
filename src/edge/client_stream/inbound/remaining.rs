//! How much of a request's body is still to be read.

use super::fault::Fault;
use crate::gate::framing::Body;
use crate::gate::framing::chunked::{Chunked, Progress};

/// What is still to be read of a request's body.
#[derive(Debug)]
pub(in crate::edge) enum Remaining {
    /// Nothing.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// It cannot be known.
    Faulty(Fault),
}

impl Remaining {
    /// The whole body, as the head announces it.
    pub(in crate::edge) fn of(body: Body) -> Self {
        match body {
            Body::Length(0) => Self::Nothing,
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(Chunked::default()),
        }
    }

    /// Takes what belongs to the body of some bytes: how many, from the first one on.
    pub(in crate::edge) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Nothing | Self::Faulty(_) => 0,
            Self::Length(left) => {
                let taken =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Nothing;
                }
                taken
            }
            Self::Chunked(chunked) => match chunked.read(bytes) {
                Ok(Progress::Partial) => bytes.len(),
                Ok(Progress::End(taken)) => {
                    *self = Self::Nothing;
                    taken
                }
                Err(malformed) => {
                    *self = Self::Faulty(Fault::Malformed(malformed.reason));
                    malformed.at
                }
            },
        }
    }
}
