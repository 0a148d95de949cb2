//! How much of an upstream's answer has come, read without any leniency.

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};

use crate::edge::failure::MalformedResponse;
use crate::edge::fast_lane::answer_head::{Framing, frame};
use crate::edge::fast_lane::fault::Fault;
use crate::gate::framing::chunked::{Chunked, Progress};

/// An answer on its way from an upstream.
#[derive(Debug)]
pub(super) struct ReceivedAnswer {
    method: Method,
    state: AnswerState,
    /// Whether the connection may serve another request.
    pub(super) keeps_connection: bool,
}

#[derive(Debug)]
enum AnswerState {
    /// So much of a head has come; perhaps interim answers before it.
    Head(BytesMut),
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    /// The upstream has switched protocols.
    Tunnel,
    End,
    Malformed(MalformedResponse),
}

impl ReceivedAnswer {
    /// The answer to a request with this method, of which nothing has come.
    pub(super) fn to(method: Method) -> Self {
        Self { method, state: AnswerState::Head(BytesMut::new()), keeps_connection: false }
    }

    /// Whether it is whole.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.state, AnswerState::End)
    }

    /// Whether the connection is the upstream's and the client's to talk over as they like.
    pub(super) const fn is_tunnel(&self) -> bool {
        matches!(self.state, AnswerState::Tunnel)
    }

    /// Why nothing more of it can be read, once that is so.
    pub(super) fn malformed(&self) -> Option<&MalformedResponse> {
        match &self.state {
            AnswerState::Malformed(malformed) => Some(malformed),
            AnswerState::Head(_)
            | AnswerState::Length(_)
            | AnswerState::Chunked(_)
            | AnswerState::UntilClose
            | AnswerState::Tunnel
            | AnswerState::End => None,
        }
    }

    /// Takes what belongs to the answer of some bytes: how many, from the first one on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        match &mut self.state {
            AnswerState::Head(head) => {
                let before = head.len();
                head.extend_from_slice(bytes);
                let head = std::mem::take(head);
                self.take_head(head, before, bytes)
            }
            AnswerState::Length(left) => {
                let taken =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.state = AnswerState::End;
                }
                taken
            }
            AnswerState::Chunked(chunked) => match chunked.read(bytes) {
                Ok(Progress::Partial) => bytes.len(),
                Ok(Progress::End(taken)) => {
                    self.state = AnswerState::End;
                    taken
                }
                Err(malformed) => self.refuse(&Fault::malformed(malformed.reason), malformed.at),
            },
            AnswerState::UntilClose | AnswerState::Tunnel => bytes.len(),
            AnswerState::End | AnswerState::Malformed(_) => 0,
        }
    }

    /// Reads the head in `held`, of which `before` bytes came before these.
    fn take_head(&mut self, mut held: BytesMut, before: usize, bytes: &[u8]) -> usize {
        // Where in `bytes` the next head begins.
        let mut taken = 0;
        let mut before = before;
        loop {
            let head = match frame(&held, &self.method) {
                Ok(Some(head)) => head,
                Ok(None) => {
                    self.state = AnswerState::Head(held);
                    return bytes.len();
                }
                Err(fault) => return self.refuse(&fault, taken),
            };
            taken += head.length - before;
            if head.is_interim() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                held.advance(head.length);
                before = 0;
                continue;
            }
            self.keeps_connection = head.keeps_connection;
            self.state = match (head.status, head.framing) {
                (StatusCode::SWITCHING_PROTOCOLS, _) => AnswerState::Tunnel,
                (_, Framing::Nothing | Framing::Length(0)) => AnswerState::End,
                (_, Framing::Length(length)) => AnswerState::Length(length),
                (_, Framing::Chunked) => AnswerState::Chunked(Box::default()),
                (_, Framing::UntilClose) => AnswerState::UntilClose,
            };
            return taken + self.take(&bytes[taken..]);
        }
    }

    fn refuse(&mut self, fault: &Fault, taken: usize) -> usize {
        let (Fault::Upstream(error) | Fault::Client(error)) = fault;
        self.state = AnswerState::Malformed(MalformedResponse::of(error));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the bytes belong to the answer, and whether it is whole; in pieces of any size.
    fn read(method: &Method, text: &str) -> Result<(usize, bool, bool), String> {
        let read_in = |size: usize| {
            let mut answer = ReceivedAnswer::to(method.clone());
            let mut taken = 0;
            for piece in text.as_bytes().chunks(size) {
                taken += answer.take(piece);
            }
            match answer.malformed() {
                Some(malformed) => Err(malformed.to_string()),
                None => Ok((taken, answer.is_whole(), answer.keeps_connection)),
            }
        };
        let whole = read_in(text.len().max(1));
        for size in 1..text.len() {
            assert_eq!(read_in(size), whole, "in pieces of {size}: {text:?}");
        }
        whole
    }

    #[test]
    fn answer_ends_where_its_framing_says_and_what_follows_is_not_taken() {
        let get = |text: &str| read(&Method::GET, text);
        let ended = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(get(ended), Ok((ended.len(), true, true)));
        assert_eq!(get(&format!("{ended}HTTP/1.1 200")), Ok((ended.len(), true, true)));
        let interim = format!("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Go\r\n\r\n{ended}");
        assert_eq!(get(&interim), Ok((interim.len(), true, true)));
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0\r\n\r\n";
        assert_eq!(get(&format!("{chunked}x")), Ok((chunked.len(), true, true)));
        assert_eq!(get(&chunked[..chunked.len() - 1]), Ok((chunked.len() - 1, false, true)));
        let closed = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(get(closed), Ok((closed.len(), true, false)));
        let until_close = "HTTP/1.1 200 OK\r\n\r\nabc";
        assert_eq!(get(until_close), Ok((until_close.len(), false, false)));
        let empty = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(read(&Method::HEAD, &format!("{empty}ab")), Ok((empty.len(), true, true)));
    }

    #[test]
    fn chunks_that_are_none_are_refused() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in
            ["\r\nab", " ;a=b\r\n", "5 \r\n", "5;\r\n", "1\r\nab", "0\r\njunk\r\n\r\n", "-1\r\n"]
        {
            let refused = read(&Method::GET, &format!("{head}{body}")).expect_err("malformed");
            assert!(refused.starts_with("the answer is malformed: "), "{body:?}: {refused}");
        }
        let refused = read(&Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n");
        assert_eq!(refused, Err("the answer is malformed: more than one Content-Length".into()));
    }
}
