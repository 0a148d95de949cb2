//! The serde mirror of `gateway.yaml`. These types die in `compile`: nothing else sees them.
//!
//! Nearly every field is optional here, so that a missing one is reported by the compiler, which
//! knows what to write instead, and not by the first parser that stumbles.

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
mod tokens;
mod upstreams;
mod users;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) use admin::Admin;
pub(super) use api_keys::ApiKeys;
pub(super) use clients::Client;
pub(super) use identity_headers::IdentityHeaders;
pub(super) use internal_token::InternalToken;
pub(super) use issuers::{Issuer, IssuerClaims, Keys};
pub(super) use limits::Limits;
pub(super) use listeners::{Certificate, Listener, ListenerTls};
pub(super) use login::{Attempts, HandOff, Login};
pub(super) use logs::{AccessLog, AuditLog};
pub(super) use revocation::Revocation;
pub(super) use routes::{Forward, Match, Require, Route, RouteLimits};
pub(super) use server::{Server, TokenCache};
pub(super) use sessions::{Cookie, Sessions};
pub(super) use store::{Embedded, Redis, RedisTls, Sentinel, Store};
pub(super) use tokens::{Access, Refresh, Signing, Tokens};
pub(super) use upstreams::{Timeouts, Upstream, UpstreamForward, UpstreamLimits, UpstreamTls};
pub(super) use users::User;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Gateway {
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Admin,
    pub(super) server: Server,
    pub(super) limits: Limits,
    pub(super) access_log: AccessLog,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) realm: Option<String>,
    pub(super) data_directory: Option<String>,
    pub(super) store: Store,
    pub(super) revocation: Revocation,
    pub(super) sessions: Sessions,
    pub(super) login: Option<Login>,
    pub(super) tokens: Option<Tokens>,
    pub(super) clients: Vec<Client>,
    pub(super) clients_file: Option<String>,
    pub(super) api_keys: Option<ApiKeys>,
    pub(super) audit_log: AuditLog,
    pub(super) token_cache: TokenCache,
    pub(super) issuers: Vec<Issuer>,
    pub(super) upstreams: BTreeMap<String, Upstream>,
    pub(super) identity_headers: IdentityHeaders,
    pub(super) routes: Vec<Route>,
}
