//! `server`, and the other settings of the process: trusted proxies, the data directory, the size
//! of the token cache.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::compiler::Compiler;
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::{AccessLogSettings, LaneChoice, ServerSettings, raw};

/// The default data directory, and the environment variable with which an image can change it.
const DATA_DIRECTORY_DEFAULT: &str = "data";
const DATA_DIRECTORY_VARIABLE: &str = "PORTCULLIS_DATA_DIRECTORY";
const TOKEN_CACHE_BYTES_DEFAULT: u64 = 64 << 20;
const THREADS_MAX: usize = 1024;

/// Sections that do not depend on others.
pub(super) struct Standalone {
    pub(super) server: Option<ServerSettings>,
    pub(super) realm: Box<str>,
    pub(super) access_log: Option<AccessLogSettings>,
    pub(super) audit_log: Presence<PathBuf>,
}

impl Compiler<'_> {
    pub(super) fn standalone(
        &mut self,
        server: raw::Server,
        realm: Option<String>,
        access_log: raw::AccessLog,
        audit_log: raw::AuditLog,
    ) -> Standalone {
        Standalone {
            server: self.server(server),
            realm: self.realm(realm),
            access_log: self.access_log(access_log),
            audit_log: self.audit_log(audit_log),
        }
    }

    fn server(&mut self, raw: raw::Server) -> Option<ServerSettings> {
        let field = FieldPath::default().key("server");
        let raw::Server { name, threads, shutdown_grace, lane } = raw;
        let name = match name {
            None => Some(host_name()),
            some => self.name(some, &field.key("name")),
        };
        let lanes = [("fast", LaneChoice::Fast), ("pingora", LaneChoice::Pingora)];
        let lane = self.choice(lane.as_deref(), &field.key("lane"), &lanes, LaneChoice::Fast);
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or(available);
        let grace_field = field.key("shutdown_grace");
        let shutdown_grace = self.duration(shutdown_grace, &grace_field, Duration::from_secs(30));
        if !(1..=THREADS_MAX).contains(&threads) {
            let fact = format!("{threads} is out of range");
            return self.error(&field.key("threads"), &fact, "Write a number from 1 to 1024");
        }
        Some(ServerSettings { name: name?, threads, shutdown_grace: shutdown_grace?, lane: lane? })
    }

    /// The directory for data that can be lost without harm, if no other place is configured for
    /// it.
    pub(super) fn data_directory(&self, raw: Option<String>) -> PathBuf {
        let named = || (self.environment)(DATA_DIRECTORY_VARIABLE);
        let path = raw.or_else(named).unwrap_or_else(|| DATA_DIRECTORY_DEFAULT.to_owned());
        self.path(&path)
    }

    pub(super) fn trusted_proxies(&mut self, raw: Vec<String>) -> Vec<IpNet> {
        let field = FieldPath::default().key("trusted_proxies");
        let mut networks = Vec::new();
        for (index, text) in raw.into_iter().enumerate() {
            let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            match parsed {
                Ok(network) => networks.push(network),
                Err(_) => {
                    let fact = format!("`{text}` is not a network");
                    let remedy = "Write an address or a network, such as 10.0.0.0/8";
                    self.error::<()>(&field.index(index), &fact, remedy);
                }
            }
        }
        networks
    }

    fn realm(&mut self, raw: Option<String>) -> Box<str> {
        let realm = raw.unwrap_or_else(|| "portcullis".to_owned());
        if !realm.bytes().all(|b| (b == b' ' || b.is_ascii_graphic()) && b != b'"' && b != b'\\') {
            let field = FieldPath::default().key("realm");
            let remedy = "Use visible ASCII without `\"` and `\\`";
            self.error::<()>(&field, "the realm cannot be quoted", remedy);
        }
        realm.into()
    }

    pub(super) fn token_cache(&mut self, raw: raw::TokenCache) -> Option<u64> {
        let field = FieldPath::default().key("token_cache").key("size");
        self.size(raw.size, &field, TOKEN_CACHE_BYTES_DEFAULT)
    }
}

/// The host name of the machine, if it is a valid name.
fn host_name() -> Box<str> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let named: String = text
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(64)
        .collect();
    if named.is_empty() { "gateway".into() } else { named.into() }
}
