//! Which fields an upstream gets: strip, then set.
//!
//! Called from `upstream_request_filter` and from nowhere earlier: before it Pingora deletes every
//! header that the client names in `Connection`, and would delete ours.

mod cookies;
mod provenance;
mod received_fields;
mod strip;
mod write;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;

use self::cookies::{join_cookies, strip_cookie};
use self::provenance::set_forwarded;
use self::received_fields::ReceivedFields;
use self::strip::{KeptCredentials, Unwanted, strip};
use super::client::RequestClient;
use super::trace::{self, RequestId, TraceOrigin};
use crate::gate::Gate;
use crate::gate::credential::Carrier;
use crate::gate::fields;
use crate::gate::internal::{InternalToken, TokenHeader};
use crate::gate::policy::{ForwardCredential, Permit};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A token that tells the upstream who the caller is.
#[derive(Debug)]
pub(super) struct IdentityToken {
    /// What it was made by.
    pub(super) wanted: Arc<InternalToken>,
    /// The value of its header.
    pub(super) value: HeaderValue,
}

/// What is said to the upstream of a request.
pub(super) struct Outgoing<'a> {
    pub(super) permit: &'a Permit,
    pub(super) identity_token: Option<&'a IdentityToken>,
    pub(super) client: &'a RequestClient,
    pub(super) request_id: &'a RequestId,
    pub(super) gate: &'a Gate,
}

impl Outgoing<'_> {
    /// Prepares a request for the upstream. Returns what it came with.
    ///
    /// # Errors
    ///
    /// If a header cannot be set, which fails the request.
    pub(super) fn apply(&self, request: &mut RequestHeader) -> pingora::Result<ReceivedFields> {
        let Self { permit, identity_token, client, request_id, gate } = *self;
        let kept = self.kept_credentials();
        let received_fields = strip(request, &self.unwanted(kept));
        if received_fields.authorization && !kept.keeps(Carrier::Bearer) {
            request.remove_header(&header::AUTHORIZATION);
        }
        if received_fields.length {
            set_canonical_length(request)?;
        }
        if received_fields.cookie {
            join_cookies(request)?;
            if !kept.keeps(Carrier::Session) {
                strip_cookie(request, &gate.sessions.rules.terms().cookie.name)?;
            }
            // Whatever the route keeps: it is between the browser and us.
            if let Some(name) = gate.settings.refresh_cookie {
                strip_cookie(request, name)?;
            }
        }
        set_forwarded(request, client, received_fields)?;
        set_trace(request, request_id, received_fields)?;
        if let Some(principal) = permit.principal() {
            for (name, value) in principal.identity().headers() {
                request.insert_header(name.clone(), value.clone())?;
            }
        }
        match identity_token {
            None => Ok(()),
            Some(IdentityToken { wanted, value }) => match &wanted.terms().header {
                TokenHeader::Authorization => request.insert_header("Authorization", value.clone()),
                TokenHeader::Own(name) => request.insert_header(name.bytes(), value.clone()),
            },
        }?;
        Ok(received_fields)
    }

    fn kept_credentials(&self) -> KeptCredentials {
        match (self.permit.forwarding().credential, self.permit.principal()) {
            (ForwardCredential::Strip, _) => KeptCredentials::Nothing,
            // A credential that was not verified must not arrive as if it had been.
            (ForwardCredential::Keep, Some(principal)) => {
                KeptCredentials::Only(principal.carrier())
            }
            (ForwardCredential::Keep, None) => KeptCredentials::Everything,
        }
    }

    fn unwanted(&self, kept: KeptCredentials) -> Unwanted<'_> {
        let settings = &self.gate.settings;
        Unwanted {
            owned: &settings.owned,
            api_key: settings.api_key_header.as_ref().map(|name| (name, kept)),
            peer: self.client.peer_is,
            method_override: self.permit.forwarding().method_override,
        }
    }
}

/// One length, in one spelling.
fn set_canonical_length(request: &mut RequestHeader) -> pingora::Result<()> {
    match fields::canonical_length(&request.headers).map(<[u8]>::to_vec) {
        Some(length) => request.insert_header("Content-Length", length.as_slice()),
        None => Ok(()),
    }
}

fn set_trace(
    request: &mut RequestHeader,
    request_id: &RequestId,
    received_fields: ReceivedFields,
) -> pingora::Result<()> {
    // A client can have its own id deleted by naming it in `Connection`.
    if request_id.origin == TraceOrigin::Gateway || !received_fields.request_id {
        request.insert_header("X-Request-Id", request_id.value().clone())?;
    }
    if !received_fields.trace {
        request.insert_header("traceparent", trace::make_traceparent())?;
    } else if !trace::is_traced(&request.headers) {
        request.remove_header(&TRACESTATE);
        request.insert_header("traceparent", trace::make_traceparent())?;
    }
    Ok(())
}
