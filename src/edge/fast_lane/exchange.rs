//! One exchange of the lane, from its permit to its record.

use std::time::Instant;

use pingora::{BError, Error, ErrorType};
use tokio::io::AsyncWriteExt;

use super::answer_body::AnswerBody;
use super::answer_head::{self, AnswerHead, HEAD_BYTES_MAX, Telling};
use super::fault::Fault;
use super::plain_request::PlainRequest;
use super::upstream_link::{Buffers, UpstreamLink};
use crate::edge::answer::{FinishedAnswer, client_kind};
use crate::edge::client_stream::inbound::Inbound;
use crate::edge::context::Context;
use crate::edge::exchange_state::UpstreamAttempt;
use crate::edge::failure;
use crate::edge::forward::Outgoing;
use crate::edge::record;
use crate::edge::response::sets_cookie_of_ours;
use crate::edge::upstream_connections::{Reuse, UpstreamConnections};
use crate::gate::denial::{Denial, Slug};

/// How many interim answers there may be to one request.
const INTERIM_MAX: usize = 100;

/// Whether the client's connection stays open after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum KeepAlive {
    On,
    Off,
}

/// What becomes of the client's connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Next {
    /// Another request may follow.
    Request,
    /// Nothing follows.
    Close,
}

/// A permitted exchange.
pub(in crate::edge) struct Exchange<'a> {
    pub(in crate::edge) connections: &'a UpstreamConnections,
    pub(in crate::edge) context: Box<Context>,
    pub(in crate::edge) request: PlainRequest,
    pub(in crate::edge) keep_alive: KeepAlive,
}

/// An answer whose head was read.
struct BegunAnswer {
    head: AnswerHead,
    link: UpstreamLink,
}

impl Exchange<'_> {
    /// Has the upstream answer the request, and tells the client.
    pub(in crate::edge) async fn serve(
        mut self,
        buffers: &mut Buffers,
        client: &mut Inbound,
    ) -> Next {
        let mut given = None;
        let served = self.answer(buffers, client, &mut given).await;
        let next = match served {
            Ok(()) => match self.keep_alive {
                KeepAlive::On => Next::Request,
                KeepAlive::Off => Next::Close,
            },
            Err(fault) => {
                given = self.give_up(fault, given, client).await;
                Next::Close
            }
        };
        // Whatever comes now, the exchange ended by itself.
        let context = &mut *self.context;
        drop(context.state.permitted_mut().and_then(|exchange| exchange.revocable.take()));
        record::exchanged(context, &self.request, given);
        buffers.rest();
        next
    }

    async fn answer(
        &mut self,
        buffers: &mut Buffers,
        client: &mut Inbound,
        given: &mut Option<u16>,
    ) -> Result<(), Fault> {
        let BegunAnswer { head, mut link } = self.first_answer(buffers, client).await?;
        self.context.record.status = Some(head.status.as_u16());
        *given = Some(head.status.as_u16());
        let sent = &mut self.context.record.bytes_out;
        AnswerBody::new(head.framing).relay(&mut link, buffers, client, sent).await?;
        // Bytes behind the answer belong to no request.
        if head.keeps_connection && buffers.incoming.is_empty() {
            link.keep(self.connections);
        }
        Ok(())
    }

    /// Sends the request and reads the head of the answer: on a connection that was kept if there is one,
    /// and anew if that turns out to be dead.
    async fn first_answer(
        &mut self,
        buffers: &mut Buffers,
        client: &mut Inbound,
    ) -> Result<BegunAnswer, Fault> {
        let mut reuse = Reuse::Allowed;
        loop {
            let mut link = self.connect(buffers, reuse).await?;
            self.write_request(&mut buffers.out)?;
            let answered = match link.send(&buffers.out).await {
                Ok(()) => {
                    buffers.out.clear();
                    self.read_head(&mut link, buffers, client).await
                }
                Err(fault) => Err(fault),
            };
            match answered {
                Ok(head) => return Ok(BegunAnswer { head, link }),
                // RFC 9112 §9.3.1: the upstream closed it before it saw the request, which uses up no try.
                Err(Fault::Upstream(error))
                    if link.is_reused
                        && is_dead(&error)
                        && buffers.incoming.is_empty()
                        && self.may_be_sent_again() =>
                {
                    if let Some(exchange) = self.context.state.permitted_mut() {
                        exchange.tries -= 1;
                    }
                    reuse = Reuse::Refused;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Whether the upstream has answered nothing yet, and may see the request twice.
    fn may_be_sent_again(&self) -> bool {
        let attempt = self.context.state.permitted().and_then(|exchange| exchange.attempt.as_ref());
        let is_unanswered = attempt.is_some_and(|attempt| attempt.answered_after.is_none());
        is_unanswered && self.request.method.is_idempotent()
    }

    /// A connection to the next address, or to another one if that cannot be reached.
    async fn connect(
        &mut self,
        buffers: &mut Buffers,
        reuse: Reuse,
    ) -> Result<UpstreamLink, Fault> {
        loop {
            let exchange = self.context.state.permitted_mut().ok_or_else(without_permit)?;
            let upstream = exchange.upstream.clone();
            let Some(address) = upstream.next() else {
                return Err(Fault::Upstream(Error::new_up(failure::NO_ADDRESS)));
            };
            let chosen = Instant::now();
            exchange.tries += 1;
            let tries = exchange.tries;
            exchange.attempt =
                Some(UpstreamAttempt { address, chosen, answered_after: None, connection: None });
            match UpstreamLink::open(self.connections, &upstream, address, buffers, reuse).await {
                Ok(link) => return Ok(link),
                // Nothing was sent yet: any method may be tried elsewhere.
                Err(error) if tries <= upstream.settings().retries => self.tell(&error),
                Err(error) => return Err(Fault::Upstream(error)),
            }
        }
    }

    fn write_request(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let context = &self.context;
        let exchange = context.state.permitted().ok_or_else(without_permit)?;
        let outgoing = Outgoing {
            permit: &exchange.permit,
            identity_token: exchange.identity_token.as_ref(),
            client: &exchange.origin.client,
            request_id: &exchange.origin.request_id,
            gate: &context.published.configuration.gate,
        };
        out.clear();
        outgoing.write(&self.request, out);
        out.extend_from_slice(self.request.body());
        Ok(())
    }

    /// Reads until there is the head of an answer. What the client gets of it is then in
    /// `buffers.out`, and what follows it in `buffers.incoming`.
    async fn read_head(
        &mut self,
        link: &mut UpstreamLink,
        buffers: &mut Buffers,
        client: &mut Inbound,
    ) -> Result<AnswerHead, Fault> {
        let mut interim = 0;
        loop {
            if link.receive(buffers, client).await? == 0 {
                return Err(Fault::closed());
            }
            while let Some(head) = self.take_head(buffers)? {
                self.note_answer();
                if !head.is_interim() {
                    return Ok(head);
                }
                interim += 1;
                if interim > INTERIM_MAX {
                    return Err(Fault::malformed("there are too many interim answers"));
                }
                client.write_all(&buffers.out).await.map_err(Fault::unsent)?;
                client.flush().await.map_err(Fault::unsent)?;
                buffers.out.clear();
            }
            if buffers.incoming.len() > HEAD_BYTES_MAX {
                return Err(Fault::unreadable(httparse::Error::TooManyHeaders));
            }
        }
    }

    fn take_head(&self, buffers: &mut Buffers) -> Result<Option<AnswerHead>, Fault> {
        if buffers.incoming.is_empty() {
            return Ok(None);
        }
        let exchange = self.context.state.permitted().ok_or_else(without_permit)?;
        let configuration = &self.context.published.configuration;
        let telling = Telling {
            method: &self.request.method,
            keeps_back: &|cookie| sets_cookie_of_ours(cookie, configuration),
            is_of_session: exchange.is_of_session,
            keeps_connection: self.keep_alive == KeepAlive::On,
        };
        let head = answer_head::read(&buffers.incoming, telling, &mut buffers.out)?;
        if let Some(head) = &head {
            bytes::Buf::advance(&mut buffers.incoming, head.length);
        }
        Ok(head)
    }

    fn note_answer(&mut self) {
        let exchange = self.context.state.permitted_mut();
        if let Some(attempt) = exchange.and_then(|exchange| exchange.attempt.as_mut())
            && attempt.answered_after.is_none()
        {
            attempt.answered_after = Some(attempt.chosen.elapsed());
        }
    }

    /// Ends an exchange that failed. Returns the status that the client was given, if it was given one.
    async fn give_up(
        &mut self,
        fault: Fault,
        given: Option<u16>,
        client: &mut Inbound,
    ) -> Option<u16> {
        let error = match fault {
            Fault::Client(error) => {
                self.context.record.reason = failure::reason_of_departure(&error).into();
                return None;
            }
            Fault::Upstream(error) => error,
        };
        let denial = failure::read(&error).unwrap_or_else(|| Slug::Internal.into());
        self.tell(&error);
        self.context.denied(&denial);
        if given.is_some() {
            // Of an answer that has begun, only the end of the connection tells that it is not whole.
            return given;
        }
        self.refuse(&denial, client).await
    }

    /// Answers with a denial, after which the connection is closed.
    async fn refuse(&mut self, denial: &Denial, client: &mut Inbound) -> Option<u16> {
        let kind = client_kind(&self.request.headers);
        let realm = &self.context.published.configuration.settings.realm;
        let mut answer = FinishedAnswer::new(denial, kind, self.context.request_id(), realm);
        let status = answer.status;
        if self.request.method == http::Method::HEAD {
            answer.body.clear();
        }
        let content_length = answer.body.len() as u64;
        let bytes = answer.into_last_bytes();
        let written = async {
            client.write_all(&bytes).await?;
            client.flush().await
        };
        self.context.record.status = Some(status);
        written.await.ok()?;
        self.context.record.bytes_out = content_length;
        Some(status)
    }

    /// Tells the log that the upstream failed.
    fn tell(&self, error: &Error) {
        let exchange = self.context.state.permitted();
        let name = exchange.map_or("", |exchange| &exchange.upstream.settings().name);
        let attempt = exchange.and_then(|exchange| exchange.attempt.as_ref());
        failure::tell(error, self.context.request_id(), name, attempt.map(|last| last.address));
    }
}

/// Whether an error says that the upstream has closed the connection. One of TLS says something else.
fn is_dead(error: &BError) -> bool {
    let is_of_system = || {
        let cause = error.root_cause().downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.raw_os_error().is_some())
    };
    let kind = error.etype();
    *kind == ErrorType::ConnectionClosed
        || ([&ErrorType::ReadError, &ErrorType::WriteError].contains(&kind) && is_of_system())
}

/// What must never be: nothing reaches an upstream without a permit.
fn without_permit() -> Fault {
    Fault::Upstream(Error::explain(ErrorType::InternalError, "an exchange without a permit"))
}
