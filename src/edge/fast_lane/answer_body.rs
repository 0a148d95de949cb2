//! The content of an answer on its way to the client, in the framing that its head announced.

use std::io::Write as _;

use bytes::Buf;
use tokio::io::AsyncWriteExt;

use super::answer_head::Framing;
use super::fault::Fault;
use super::upstream_link::{Buffers, UpstreamLink};
use crate::edge::client_stream::inbound::Inbound;
use crate::gate::framing::chunked::{Chunked, Progress};

/// The end of a body in chunks (RFC 9112 §7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A chunk of its own (RFC 9112 §7.1).
fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// How far the content of an answer has come.
#[derive(Debug)]
pub(super) struct AnswerBody(ContentLeft);

/// What is still to come.
#[derive(Debug)]
enum ContentLeft {
    Nothing,
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
}

impl AnswerBody {
    pub(super) fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Nothing | Framing::Length(0) => ContentLeft::Nothing,
            Framing::Length(length) => ContentLeft::Length(length),
            Framing::Chunked => ContentLeft::Chunked(Box::default()),
            Framing::UntilClose => ContentLeft::UntilClose,
        })
    }

    /// Sends the client the head in `buffers.out`, and all of the content. Counts the bytes that go out in
    /// `sent`, without their framing.
    pub(super) async fn relay(
        &mut self,
        link: &mut UpstreamLink,
        buffers: &mut Buffers,
        client: &mut Inbound,
        sent: &mut u64,
    ) -> Result<(), Fault> {
        loop {
            let taken = self.take(buffers, sent);
            // What is in order goes out, whatever follows it.
            if !buffers.out.is_empty() {
                client.write_all(&buffers.out).await.map_err(Fault::unsent)?;
                buffers.shrink();
            }
            taken?;
            client.flush().await.map_err(Fault::unsent)?;
            if matches!(self.0, ContentLeft::Nothing) {
                return Ok(());
            }
            if link.receive(buffers, client).await? == 0 {
                let ContentLeft::UntilClose = self.0 else { return Err(Fault::closed()) };
                self.0 = ContentLeft::Nothing;
                client.write_all(LAST_CHUNK).await.map_err(Fault::unsent)?;
                return client.flush().await.map_err(Fault::unsent);
            }
        }
    }

    /// Moves what has come of the content to what goes out.
    fn take(&mut self, buffers: &mut Buffers, sent: &mut u64) -> Result<(), Fault> {
        let Buffers { out, incoming, .. } = buffers;
        match &mut self.0 {
            ContentLeft::Nothing => {}
            ContentLeft::Length(left) => {
                let taken =
                    usize::try_from(*left).map_or(incoming.len(), |left| left.min(incoming.len()));
                out.extend_from_slice(&incoming[..taken]);
                incoming.advance(taken);
                *sent += taken as u64;
                *left -= taken as u64;
                if *left == 0 {
                    self.0 = ContentLeft::Nothing;
                }
            }
            // Neither extensions nor trailers are forwarded: their contents were not inspected.
            ContentLeft::Chunked(chunked) => {
                let read = chunked.read_data(incoming, |data| {
                    write_chunk(data, out);
                    *sent += data.len() as u64;
                });
                match read {
                    Ok(Progress::Partial) => incoming.clear(),
                    Ok(Progress::End(taken)) => {
                        incoming.advance(taken);
                        out.extend_from_slice(LAST_CHUNK);
                        self.0 = ContentLeft::Nothing;
                    }
                    Err(malformed) => return Err(Fault::malformed(malformed.reason)),
                }
            }
            ContentLeft::UntilClose if !incoming.is_empty() => {
                write_chunk(incoming, out);
                *sent += incoming.len() as u64;
                incoming.clear();
            }
            ContentLeft::UntilClose => {}
        }
        Ok(())
    }
}
