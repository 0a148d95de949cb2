//! `upstreams` → named destinations.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::compiler::Compiler;
use super::internal::InternalTokenContext;
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::upstream::{UpstreamSettings, UpstreamTls};
use crate::config::values::is_peer;
use crate::config::{raw, tls};

const RETRIES_MAX: usize = 5;

/// The upstreams by name. One that could not be compiled is included, so that routes may name it.
pub(super) struct CompiledUpstreams {
    positions: HashMap<String, Option<usize>>,
    pub(super) list: Vec<UpstreamSettings>,
    /// For each upstream in the same order, the position of the internal token for its routes.
    internal_tokens: Vec<Option<usize>>,
}

impl CompiledUpstreams {
    /// The position of the upstream with this name.
    pub(super) fn named(&self, name: &str) -> Presence<usize> {
        self.positions.get(name).map_or(Presence::Absent, |place| Presence::of(*place))
    }

    /// The internal token for the routes of an upstream that have none of their own.
    pub(super) fn internal_token(&self, position: usize) -> Option<usize> {
        *self.internal_tokens.get(position)?
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<_> = self.positions.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }
}

impl Compiler<'_> {
    pub(super) fn upstreams(
        &mut self,
        raw: BTreeMap<String, raw::Upstream>,
        context: InternalTokenContext<'_>,
    ) -> CompiledUpstreams {
        let field = FieldPath::default().key("upstreams");
        let mut compiled = CompiledUpstreams {
            positions: HashMap::new(),
            list: Vec::new(),
            internal_tokens: Vec::new(),
        };
        for (name, mut raw) in raw {
            let field = field.key(&name);
            let raw::UpstreamForward { internal_token } = std::mem::take(&mut raw.forward);
            let token_field = field.key("forward").key("internal_token");
            let internal_token = match internal_token {
                None => Some(None),
                Some(raw) => self.internal_token(raw, &token_field, context).map(Some),
            };
            let settings = self.upstream(name.clone(), raw, &field).zip(internal_token);
            let position = settings.map(|(settings, internal_token)| {
                compiled.list.push(settings);
                compiled.internal_tokens.push(internal_token);
                compiled.list.len() - 1
            });
            compiled.positions.insert(name, position);
        }
        compiled
    }

    fn upstream(
        &mut self,
        name: String,
        raw: raw::Upstream,
        field: &FieldPath,
    ) -> Option<UpstreamSettings> {
        let raw::Upstream { peers, balance, tls, timeouts, retries, limits, forward: _ } = raw;
        let raw::UpstreamLimits { in_flight } = limits;
        let name = self.name(Some(name), field);
        if peers.is_empty() {
            let remedy = "Add `peers: [127.0.0.1:9001]`";
            let peers = field.key("peers");
            self.empty::<()>(&peers, "there is no peer", remedy);
        }
        for (index, peer) in peers.iter().enumerate() {
            if !is_peer(peer) {
                let fact = format!("`{peer}` is not a host with a port");
                let remedy = "Write 10.0.0.7:8080, [::1]:8080 or orders.internal:8080";
                self.error::<()>(&field.key("peers").index(index), &fact, remedy);
            }
        }
        let balance_field = field.key("balance");
        self.choice(balance.as_deref(), &balance_field, &[("round_robin", ())], ());
        let tls = match tls {
            None => Some(None),
            Some(tls) => self.upstream_tls(tls, &field.key("tls")).map(Some),
        };
        let retries = retries.unwrap_or(1);
        if retries > RETRIES_MAX {
            let remedy = format!("Write a number from 0 to {RETRIES_MAX}");
            self.error::<()>(&field.key("retries"), "there are too many retries", &remedy);
        }
        let in_flight_max = self.count(in_flight, &field.key("limits").key("in_flight"));
        let field = field.key("timeouts");
        let raw::Timeouts { connect, read, write, idle } = timeouts;
        let mut timeout =
            |text, key, seconds| self.duration(text, &field.key(key), Duration::from_secs(seconds));
        let connect = timeout(connect, "connect", 1);
        let read = timeout(read, "read", 30);
        let write = timeout(write, "write", 30);
        let idle = timeout(idle, "idle", 60);
        Some(UpstreamSettings {
            name: name?,
            peers: peers.into_iter().map(Into::into).collect(),
            tls: tls?,
            connect_timeout: connect?,
            read_timeout: read?,
            write_timeout: write?,
            idle_timeout: idle?,
            retries,
            in_flight_max: in_flight_max.whole().ok()?,
        })
    }

    fn upstream_tls(&mut self, raw: raw::UpstreamTls, field: &FieldPath) -> Option<UpstreamTls> {
        let raw::UpstreamTls { server_name, ca_file } = raw;
        let name_field = field.key("server_name");
        let remedy = "Write the name that the upstream's certificate carries";
        // Pingora reads an empty name as "do not verify".
        let server_name = self.required(server_name, &name_field, remedy);
        let ca_field = field.key("ca_file");
        let ca = match ca_file {
            None => Some(None),
            Some(file) => self.authorities(&file, &ca_field).map(|(_, chain)| Some(chain)),
        };
        let server_name = server_name?;
        if rustls::pki_types::ServerName::try_from(server_name.as_str()).is_err() {
            return self.error(&name_field, &format!("`{server_name}` is not a host"), remedy);
        }
        Some(UpstreamTls { server_name: server_name.into(), ca: ca? })
    }

    /// Certificate authorities from a PEM file: the text, and the parsed certificates.
    pub(super) fn authorities(
        &mut self,
        file: &str,
        field: &FieldPath,
    ) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
        let pem = self.read(file, field)?;
        match tls::authorities(&pem) {
            Ok(chain) => Some((pem, chain.into_iter().map(|der| der.to_vec()).collect())),
            Err(fact) => self.error(field, &fact, "Name a PEM file with certificates"),
        }
    }
}
