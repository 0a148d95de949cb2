//! The head that an upstream gets, written line by line: for the fast lane.

use http::{HeaderMap, Method, header};

use super::Outgoing;
use super::provenance::ForwardingFields;
use super::received_fields::ReceivedFields;
use super::strip::KeptCredentials;
use crate::edge::fast_lane::plain_request::PlainRequest;
use crate::edge::trace::{self, TraceOrigin};
use crate::gate::credential::Carrier;
use crate::gate::internal::TokenHeader;
use crate::gate::session::without_cookie;

impl Outgoing<'_> {
    /// Appends the head that the upstream is sent. Strips and sets what [`Outgoing::apply`] does.
    pub(in crate::edge) fn write(&self, request: &PlainRequest, out: &mut Vec<u8>) {
        let Self { identity_token, client, request_id, .. } = *self;
        let kept = self.kept_credentials();
        let unwanted = self.unwanted(kept);
        let token_header = identity_token.map(|token| &token.wanted.terms().header);
        let mut received_fields = ReceivedFields::default();
        for field in request.fields() {
            received_fields.note(field.name.as_str());
        }
        // A client's own trace goes on if it is one.
        let keeps_trace = received_fields.trace && trace::is_traced(&request.headers);
        let keeps_id = request_id.origin == TraceOrigin::Client;
        write_request_line(&request.method, request.target(), out);
        let mut length = itoa::Buffer::new();
        for field in request.fields() {
            let name = field.name;
            let is_replaced = match name.as_str() {
                "authorization" => {
                    !kept.keeps(Carrier::Bearer)
                        || matches!(token_header, Some(TokenHeader::Authorization))
                }
                "x-request-id" => !keeps_id,
                "traceparent" | "tracestate" => !keeps_trace,
                // Written below.
                "cookie" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" => true,
                other => {
                    matches!(token_header, Some(TokenHeader::Own(own)) if own.as_str().eq_ignore_ascii_case(other))
                }
            };
            if is_replaced
                || is_of_connection(name.as_str())
                || unwanted.has(name, &request.headers)
            {
                continue;
            }
            let value = match name.as_str() {
                // Without the leading zeros that it may have: who reads them as octal reads another length.
                "content-length" => length.format(request.body().len()).as_bytes(),
                _ => field.value,
            };
            write_field(field.written, value, out);
        }
        if received_fields.cookie {
            self.write_cookies(&request.headers, kept, out);
        }
        write_provenance(
            &ForwardingFields::of(&request.headers, None, client, received_fields),
            out,
        );
        if !keeps_id {
            write_field(b"X-Request-Id", request_id.value().as_bytes(), out);
        }
        if !keeps_trace {
            write_field(b"traceparent", trace::make_traceparent().as_bytes(), out);
        }
        self.write_identity(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Who the caller is.
    fn write_identity(&self, out: &mut Vec<u8>) {
        if let Some(principal) = self.permit.principal() {
            for (name, value) in principal.identity().headers() {
                write_field(name, value.as_bytes(), out);
            }
        }
        if let Some(token) = self.identity_token {
            match &token.wanted.terms().header {
                TokenHeader::Authorization => {
                    write_field(b"Authorization", token.value.as_bytes(), out);
                }
                TokenHeader::Own(name) => write_field(&name.bytes(), token.value.as_bytes(), out),
            }
        }
    }

    /// The cookies of the request in one field, but for ours.
    fn write_cookies(&self, headers: &HeaderMap, kept: KeptCredentials, out: &mut Vec<u8>) {
        let crumbs: Vec<&[u8]> =
            headers.get_all(header::COOKIE).iter().map(|crumb| crumb.as_bytes()).collect();
        let mut cookies = crumbs.join(b"; ".as_slice());
        let session = &self.gate.sessions.rules.terms().cookie.name;
        let session = (!kept.keeps(Carrier::Session)).then_some(&**session);
        for name in session.into_iter().chain(self.gate.settings.refresh_cookie) {
            match without_cookie(&cookies, name) {
                None => {}
                // There was nothing else.
                Some(rest) if rest.is_empty() => return,
                Some(rest) => cookies = rest,
            }
        }
        write_field(b"Cookie", &cookies, out);
    }
}

/// Fields that are about the client's connection, or that Pingora keeps back as well.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "http2-settings"
    )
}

fn write_request_line(method: &Method, target: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn write_provenance(provenance: &ForwardingFields, out: &mut Vec<u8>) {
    let ForwardingFields { hops, proto, forwarded, host } = provenance;
    write_field(b"X-Forwarded-For", hops.as_bytes(), out);
    write_field(b"X-Forwarded-Proto", proto.as_bytes(), out);
    if let Some(forwarded) = forwarded {
        write_field(b"Forwarded", forwarded.as_bytes(), out);
    }
    if let Some(host) = host {
        write_field(b"X-Forwarded-Host", host.as_bytes(), out);
    }
}

fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
