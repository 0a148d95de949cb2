//! The serde mirror of `gateway.yaml`. These types die in `compile`: nothing else sees them.
//!
//! The comment of a field, with its attributes, is its row in the reference: the meaning first,
//! then what happens beyond it or without it, then the bounds. `x-default` describes a default in
//! words, `x-unit` is the unit, and `x-since` is the version in which a section, or a later field,
//! was added.
//!
//! Nearly every field is optional here, so that the compiler reports a missing one. It knows what
//! to write instead, while a parser would only report the first error.

mod admin;
mod api_keys;
mod clients;
mod identity_headers;
mod internal_token;
mod issuers;
mod limits;
mod listeners;
mod login;
mod logs;
mod revocation;
mod routes;
mod server;
mod sessions;
mod store;
mod text;
mod tokens;
mod upstreams;
mod users;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use admin::Admin;
pub(super) use api_keys::ApiKeys;
pub(super) use clients::Client;
pub(super) use identity_headers::IdentityHeaders;
pub(super) use internal_token::InternalToken;
pub(super) use issuers::{Issuer, Keys};
pub(super) use limits::Limits;
pub(super) use listeners::{Certificate, Listener, ListenerTls};
pub(super) use login::{Attempts, HandOff, Login};
pub(super) use logs::{AccessLog, AuditLog};
pub(super) use revocation::Revocation;
pub(super) use routes::{Match, Require, Route};
pub(super) use server::{Server, TokenCache};
pub(super) use sessions::{Cookie, Sessions};
pub(super) use store::{Redis, RedisTls, Sentinel, Store};
pub(super) use tokens::{Access, Refresh, Signing, Tokens};
pub(super) use upstreams::{Timeouts, Upstream, UpstreamForward, UpstreamLimits, UpstreamTls};
pub(super) use users::User;

/// The configuration of a Portcullis gateway.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["listeners", "routes"]))]
pub(super) struct Gateway {
    /// The sockets on which clients connect. Their addresses cannot change while the gateway runs.
    #[schemars(length(min = 1))]
    pub(super) listeners: Vec<Listener>,
    /// The listener for operators: metrics, health, and the admin API.
    pub(super) admin: Admin,
    /// The process: its name, its threads, how it stops.
    pub(super) server: Server,
    /// Bounds on what clients send and hold.
    pub(super) limits: Limits,
    /// The access log, on standard output.
    pub(super) access_log: AccessLog,
    /// The proxies in front of the gateway whose `Forwarded` and `X-Forwarded-*` headers are
    /// trusted: addresses and networks. What other clients send in these headers is overwritten.
    #[schemars(
        with = "Vec<text::Network>",
        example = ["10.0.0.0/8"],
        extend("x-default" = "nobody is believed")
    )]
    pub(super) trusted_proxies: Vec<String>,
    /// The realm of challenges in `WWW-Authenticate` (RFC 9110 §11.5).
    #[schemars(with = "text::Quotable", example = &"shop", extend("default" = "portcullis"))]
    pub(super) realm: Option<String>,
    /// The directory for the embedded store, the last good key sets, and `admin.token`.
    #[schemars(
        with = "text::Path",
        example = &"/var/lib/portcullis",
        extend("x-default" = "what `PORTCULLIS_DATA_DIRECTORY` says, else `data`")
    )]
    pub(super) data_directory: Option<String>,
    /// The store for persistent data: a file, or a Redis that gateways share.
    pub(super) store: Store,
    /// The revocation list: how current it must be, and what happens when it is not.
    pub(super) revocation: Revocation,
    /// How long sessions live, and their cookie.
    pub(super) sessions: Sessions,
    /// How users log in.
    #[schemars(extend("x-default" = "nobody can log in"))]
    pub(super) login: Option<Login>,
    /// The tokens that the gateway itself issues.
    #[schemars(extend("x-default" = "the gateway issues none"))]
    pub(super) tokens: Option<Tokens>,
    /// The clients that may ask the gateway for tokens. They need `tokens`.
    #[schemars(extend("x-default" = "none but `first-party`"))]
    pub(super) clients: Vec<Client>,
    /// A file with a list of further clients, written as in `clients`.
    #[schemars(with = "text::Path", example = &"clients.yaml", extend("x-default" = "none"))]
    pub(super) clients_file: Option<String>,
    /// API keys. `{}` enables them with the defaults.
    #[schemars(extend("x-default" = "there are no API keys"))]
    pub(super) api_keys: Option<ApiKeys>,
    /// The audit log: what operators change.
    pub(super) audit_log: AuditLog,
    /// The cache of verified tokens.
    pub(super) token_cache: TokenCache,
    /// The issuers whose bearer tokens (JWT) are accepted, in addition to the gateway itself.
    #[schemars(extend("x-default" = "none"))]
    pub(super) issuers: Vec<Issuer>,
    /// The services behind the gateway, by name.
    #[schemars(extend("x-default" = "none"))]
    pub(super) upstreams: BTreeMap<String, Upstream>,
    /// The headers that tell upstreams who the caller is.
    pub(super) identity_headers: IdentityHeaders,
    /// The routes: which requests go where, and who may send them. The most specific one serves a
    /// request, whatever their order.
    #[schemars(length(min = 1))]
    pub(super) routes: Vec<Route>,
}
