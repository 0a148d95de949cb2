//! Listeners, admin, process, limits, logs.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::cleartext::is_clear;
use super::compiler::Compiler;
use super::section::Section;
use crate::config::problem::FieldPath;
use crate::config::tls::Unusable;
use crate::config::{
    AccessLogSettings, Admin, AdminToken, Limits, Listener, LogFormat, PaceRules, QueryInLog,
    ServerSettings, SubjectInLog, TlsCertificate, raw, values,
};
use crate::gate::framing::HeadLimits;
use crate::gate::token::TOKEN_BYTES_DEFAULT;

const ADMIN_ADDRESS_DEFAULT: &str = "127.0.0.1:9901";
/// Where the admin token is, below the data directory, unless the configuration gives one.
const ADMIN_TOKEN_FILE: &str = "admin.token";
const TOKEN_CACHE_BYTES_DEFAULT: u64 = 64 << 20;
const HEAD_BYTES_DEFAULT: u64 = 32 << 10;
/// Pingora reads no head beyond 1 MiB, counting what came with it.
const HEAD_BYTES_MAX: u64 = 256 << 10;
const FIELDS_DEFAULT: usize = 100;
/// Pingora reads no more fields than this.
const FIELDS_MAX: usize = 256;
/// As much as a server accepts in one header, with its usual settings.
pub(super) const IDENTITY_BYTES_DEFAULT: u64 = 8 << 10;
const IDENTITY_BYTES_MIN: usize = 256;
const IDENTITY_BYTES_MAX: u64 = 64 << 10;
/// As long as nginx waits by default (`client_body_timeout`).
const BODY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// As fast as Apache wants it by default (`RequestReadTimeout`, `MinRate`).
const BODY_RATE_DEFAULT: u64 = 500;
const BODY_DEADLINE_DEFAULT: Duration = Duration::from_secs(12 * 60 * 60);
/// As long as nginx waits by default (`send_timeout`).
const SEND_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const SEND_RATE_DEFAULT: u64 = 500;
const IN_FLIGHT_OWN_DEFAULT: usize = 256;
/// A browser asks for a page and what belongs to it in fewer.
const HTTP2_STREAMS_DEFAULT: usize = 32;
const HTTP2_STREAMS_MAX: usize = 1000;
/// More than any machine holds.
const COUNT_MAX: usize = usize::MAX >> 4;
const THREADS_MAX: usize = 1024;

fn root() -> FieldPath {
    FieldPath::default()
}

impl Compiler<'_> {
    /// The listeners, the addresses that they or broken ones claim, and those listeners that others
    /// can reach without TLS.
    pub(super) fn listeners(
        &mut self,
        raw: Vec<raw::Listener>,
    ) -> (Vec<Listener>, Vec<SocketAddr>, Vec<FieldPath>) {
        let field = root().key("listeners");
        if raw.is_empty() {
            let remedy = "Add `- address: 127.0.0.1:8080`";
            self.empty::<()>(&field, "there is no listener", remedy);
        }
        let (mut listeners, mut taken, mut clear) = (Vec::new(), Vec::new(), Vec::new());
        for (index, raw::Listener { address, tls }) in raw.into_iter().enumerate() {
            let field = field.index(index);
            let address = self.address(address, &field.key("address"));
            let secured = tls.map(|tls| self.listener_tls(tls, &field.key("tls")));
            let (Some(address), secured) = (address, secured) else { continue };
            self.refuse_taken(address, &taken, &field.key("address"));
            taken.push(address);
            // A listener whose TLS is broken must not end up without: the error was reported.
            let Some(tls) = secured.map_or(Some(None), |tls| tls.map(Some)) else { continue };
            let listener = Listener { address, tls };
            if is_clear(&listener) {
                clear.push(field);
            }
            listeners.push(listener);
        }
        (listeners, taken, clear)
    }

    /// Port 0 is never taken: the system chooses another each time.
    fn refuse_taken(&mut self, address: SocketAddr, taken: &[SocketAddr], field: &FieldPath) {
        if address.port() != 0 && taken.contains(&address) {
            let fact = format!("there already is a listener on {address}");
            self.error::<()>(field, &fact, "Choose another port");
        }
    }

    fn listener_tls(&mut self, raw: raw::ListenerTls, field: &FieldPath) -> Option<TlsCertificate> {
        let field = field.key("certificates");
        let mut certificates = raw.certificates.into_iter();
        let remedy = "Write `- { certificate_file: site.pem, key_file: site.key }`";
        let Some(first) = certificates.next() else {
            return self.empty(&field, "the field is missing", remedy);
        };
        if certificates.next().is_some() {
            let fact = "more than one certificate is not supported yet";
            self.error::<()>(&field.index(1), fact, "Keep one; it may name several hosts");
        }
        let field = field.index(0);
        let raw::Certificate { certificate_file, key_file } = first;
        let chain_field = field.key("certificate_file");
        let key_field = field.key("key_file");
        let chain_file = self.required(certificate_file, &chain_field, "Name a PEM file");
        let key_file = self.required(key_file, &key_field, "Name a PEM file");
        let chain = chain_file.and_then(|file| self.read(&file, &chain_field));
        let key = key_file.and_then(|file| self.read(&file, &key_field));
        match TlsCertificate::from_pem(&chain?, &key?) {
            Ok(certificate) => Some(certificate),
            Err(Unusable::Chain(fact)) => {
                self.error(&chain_field, &fact, "Name a certificate chain and its key")
            }
            Err(Unusable::Key(fact)) => {
                self.error(&key_field, &fact, "Name the private key of the certificate, in PEM")
            }
        }
    }

    fn address(&mut self, text: Option<String>, field: &FieldPath) -> Option<SocketAddr> {
        let text = self.required(text, field, "Write an address, such as 127.0.0.1:8080")?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => self.error(
                field,
                &format!("`{text}` is not an IP address with a port"),
                "Write an address, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
            ),
        }
    }

    pub(super) fn admin(
        &mut self,
        raw: raw::Admin,
        taken: &[SocketAddr],
        data_directory: &Path,
    ) -> Option<Admin> {
        let field = root().key("admin");
        let raw::Admin { address, token_file, token } = raw;
        let address = address.unwrap_or_else(|| ADMIN_ADDRESS_DEFAULT.to_owned());
        let address = self.address(Some(address), &field.key("address"));
        let token = self.secret(token_file.as_deref(), token, &field, "token").ok();
        if let Some(address) = address {
            self.refuse_taken(address, taken, &field.key("address"));
        }
        let (address, token) = (address?, token?);
        let token = match token {
            Some(token) => AdminToken::Given(token),
            None if address.ip().is_loopback() => {
                let file = data_directory.join(ADMIN_TOKEN_FILE);
                // Whoever replaces it by a new one should not have to restart the gateway.
                self.files.insert(file.clone());
                AdminToken::Kept(file)
            }
            None => {
                return self.lacking(
                    &field.key("token_file"),
                    &[field.key("token"), field.key("token_file")],
                    "an admin listener that others can reach needs a token",
                    "Add `token_file`, or listen on a loopback address",
                );
            }
        };
        Some(Admin { address, token })
    }

    pub(super) fn server(&mut self, raw: raw::Server) -> Option<ServerSettings> {
        let field = root().key("server");
        let raw::Server { name, threads, shutdown_grace } = raw;
        let name = match name {
            None => Some(host_name()),
            some => self.name(some, &field.key("name")),
        };
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or(available);
        let grace_field = field.key("shutdown_grace");
        let shutdown_grace = self.duration(shutdown_grace, &grace_field, Duration::from_secs(30));
        if !(1..=THREADS_MAX).contains(&threads) {
            let fact = format!("{threads} threads cannot be");
            return self.error(&field.key("threads"), &fact, "Write a number from 1 to 1024");
        }
        Some(ServerSettings { name: name?, threads, shutdown_grace: shutdown_grace? })
    }

    pub(super) fn limits(&mut self, raw: raw::Limits) -> Option<Limits> {
        let field = root().key("limits");
        let raw::Limits {
            header_bytes,
            header_count,
            header_timeout,
            keepalive_timeout,
            body_timeout,
            body_rate,
            body_deadline,
            send_timeout,
            send_rate,
            token_bytes,
            identity_bytes,
            connections,
            connections_per_address,
            in_flight,
            in_flight_per_client,
            in_flight_own,
            http2_streams,
        } = raw;
        let bytes_max = self.bounded_size(
            header_bytes,
            &field.key("header_bytes"),
            HEAD_BYTES_DEFAULT,
            HEAD_BYTES_MAX,
        );
        let fields_max =
            self.bounded(header_count, &field.key("header_count"), FIELDS_DEFAULT, FIELDS_MAX);
        let token_bytes_max = self.bounded_size(
            token_bytes,
            &field.key("token_bytes"),
            TOKEN_BYTES_DEFAULT as u64,
            HEAD_BYTES_MAX,
        );
        let identity_field = field.key("identity_bytes");
        let identity_bytes_max = self.bounded_size(
            identity_bytes,
            &identity_field,
            IDENTITY_BYTES_DEFAULT,
            IDENTITY_BYTES_MAX,
        );
        if identity_bytes_max.is_some_and(|bytes| bytes < IDENTITY_BYTES_MIN) {
            let fact = "nobody's identity would fit";
            self.error::<()>(&identity_field, fact, "Write 256B or more");
        }
        let mut count = |value, key| self.count(value, &field.key(key));
        let connections_max = count(connections, "connections");
        let connections_per_address_max = count(connections_per_address, "connections_per_address");
        let in_flight_max = count(in_flight, "in_flight");
        let in_flight_per_client_max = count(in_flight_per_client, "in_flight_per_client");
        let in_flight_own_max = self.bounded(
            in_flight_own,
            &field.key("in_flight_own"),
            IN_FLIGHT_OWN_DEFAULT,
            COUNT_MAX,
        );
        let http2_streams_max = self.bounded(
            http2_streams,
            &field.key("http2_streams"),
            HTTP2_STREAMS_DEFAULT,
            HTTP2_STREAMS_MAX,
        );
        let header_timeout =
            self.duration(header_timeout, &field.key("header_timeout"), Duration::from_secs(10));
        let keepalive_timeout = self.duration(
            keepalive_timeout,
            &field.key("keepalive_timeout"),
            Duration::from_secs(75),
        );
        let body_timeout =
            self.duration(body_timeout, &field.key("body_timeout"), BODY_TIMEOUT_DEFAULT);
        let body_deadline =
            self.duration(body_deadline, &field.key("body_deadline"), BODY_DEADLINE_DEFAULT);
        let send_timeout =
            self.duration(send_timeout, &field.key("send_timeout"), SEND_TIMEOUT_DEFAULT);
        let send_rate = self.rate(send_rate, &field.key("send_rate"), SEND_RATE_DEFAULT);
        let body_rate = self.rate(body_rate, &field.key("body_rate"), BODY_RATE_DEFAULT);
        Some(Limits {
            head: HeadLimits { bytes_max: bytes_max?, fields_max: fields_max? },
            header_timeout: header_timeout?,
            keepalive_timeout: keepalive_timeout?,
            body_pace: PaceRules {
                timeout: body_timeout?,
                rate: body_rate?,
                deadline: Some(body_deadline?),
            },
            send_pace: PaceRules { timeout: send_timeout?, rate: send_rate?, deadline: None },
            token_bytes_max: token_bytes_max?,
            identity_bytes_max: identity_bytes_max?,
            connections_max: connections_max.whole().ok()?,
            connections_per_address_max: connections_per_address_max.whole().ok()?,
            in_flight_max: in_flight_max.whole().ok()?,
            in_flight_per_client_max: in_flight_per_client_max.whole().ok()?,
            in_flight_own_max: in_flight_own_max?,
            http2_streams_max: u32::try_from(http2_streams_max?).ok()?,
        })
    }

    /// Bytes in a second.
    fn rate(&mut self, text: Option<String>, field: &FieldPath, default: u64) -> Option<u64> {
        let Some(text) = text else { return Some(default) };
        match values::rate(&text) {
            Some(rate) => Some(rate),
            None => self.error(
                field,
                &format!("`{text}` is not a rate"),
                "Write a size for each second, such as 500B/s or 8KiB/s, or 0B/s for none",
            ),
        }
    }

    /// A number of things that is not limited, or not here, if nothing is said.
    pub(super) fn count(&mut self, value: Option<usize>, field: &FieldPath) -> Section<usize> {
        match value {
            None => Section::Absent,
            some => Section::of(self.bounded(some, field, 1, COUNT_MAX)),
        }
    }

    fn bounded(
        &mut self,
        value: Option<usize>,
        field: &FieldPath,
        default: usize,
        max: usize,
    ) -> Option<usize> {
        let value = value.unwrap_or(default);
        if (1..=max).contains(&value) {
            return Some(value);
        }
        let remedy = format!("Write a number from 1 to {max}");
        self.error(field, &format!("{value} is out of range"), &remedy)
    }

    fn bounded_size(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: u64,
        max: u64,
    ) -> Option<usize> {
        let size = self.size(text, field, default)?;
        if size > max {
            let remedy = format!("Write at most {}KiB", max >> 10);
            return self.error(field, "the size is out of range", &remedy);
        }
        usize::try_from(size).ok()
    }

    pub(super) fn access_log(&mut self, raw: raw::AccessLog) -> Option<AccessLogSettings> {
        let field = root().key("access_log");
        let raw::AccessLog { enabled, format, subject, subject_key_file, query } = raw;
        let formats =
            [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
        let format =
            self.choice(format.as_deref(), &field.key("format"), &formats, LogFormat::Auto);
        let subjects = [("plain", 0), ("hashed", 1), ("omitted", 2)];
        let subject = self.choice(subject.as_deref(), &field.key("subject"), &subjects, 0);
        let key = self.secret(subject_key_file.as_deref(), None, &field, "subject_key");
        let subject = match (subject?, key.ok()?) {
            (0, _) => SubjectInLog::Plain,
            (1, Some(key)) => SubjectInLog::Hashed(key),
            (1, None) => {
                return self.error(
                    &field.key("subject_key_file"),
                    "hashed subjects need a key",
                    "Name a file with a long random value, the same on every gateway",
                );
            }
            _ => SubjectInLog::Omitted,
        };
        Some(AccessLogSettings {
            format: if enabled.unwrap_or(true) { format? } else { LogFormat::Off },
            subject,
            query: if query.unwrap_or(false) { QueryInLog::Shown } else { QueryInLog::Omitted },
        })
    }

    /// Where it is, if it is not standard output.
    pub(super) fn audit_log(&mut self, raw: raw::AuditLog) -> Section<PathBuf> {
        let Some(file) = raw.file else { return Section::Absent };
        let path = self.path(&file);
        if file.is_empty() || path.is_dir() {
            let field = root().key("audit_log").key("file");
            let fact = format!("`{file}` cannot be the audit log: it is a directory");
            return Section::of(self.error(&field, &fact, "Name a file"));
        }
        Section::Present(path)
    }

    pub(super) fn trusted_proxies(&mut self, raw: Vec<String>) -> Vec<IpNet> {
        let field = root().key("trusted_proxies");
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

    pub(super) fn realm(&mut self, raw: Option<String>) -> Box<str> {
        let realm = raw.unwrap_or_else(|| "portcullis".to_owned());
        if !realm.bytes().all(|b| (b == b' ' || b.is_ascii_graphic()) && b != b'"' && b != b'\\') {
            let remedy = "Use visible ASCII without `\"` and `\\`";
            self.error::<()>(&root().key("realm"), "the realm cannot be quoted", remedy);
        }
        realm.into()
    }

    pub(super) fn token_cache(&mut self, raw: raw::TokenCache) -> Option<u64> {
        let field = root().key("token_cache").key("size");
        self.size(raw.size, &field, TOKEN_CACHE_BYTES_DEFAULT)
    }
}

/// What the system calls the machine, as far as that can be a name.
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
