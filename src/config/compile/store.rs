//! `store` → where persistent data is kept.

use std::path::Path;

use super::compiler::Compiler;
use super::presence::{Presence, Reported};
use crate::config::problem::FieldPath;
use crate::config::tls::Unusable;
use crate::config::{TlsCertificate, raw};
use crate::secret::Secret;
use crate::store::settings::{
    RedisAddress, RedisLogin, RedisServers, RedisSettings, RedisTls, StoreSettings,
};

/// In the data directory.
const FILE_DEFAULT: &str = "portcullis.redb";
const PREFIX_DEFAULT: &str = "portcullis";
const PREFIX_BYTES_MAX: usize = 64;
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

const URL_REMEDY: &str =
    "Write redis://host:6379, or rediss://host:6379 for TLS, and the password in `password_file`";

/// A server from a URL, and the other parts of the URL.
struct Located {
    address: RedisAddress,
    encrypted: bool,
    database: Option<i64>,
    username: Option<Box<str>>,
    password: Option<String>,
}

/// The parts of the servers' URLs other than the addresses.
struct UrlParts {
    encrypted: bool,
    database: Option<i64>,
    login: Option<(Option<Box<str>>, Option<String>)>,
}

impl Compiler<'_> {
    pub(super) fn store(
        &mut self,
        raw: raw::Store,
        data_directory: &Path,
    ) -> Option<StoreSettings> {
        let field = FieldPath::default().key("store");
        match (raw.embedded, raw.redis) {
            (Some(_), Some(redis)) => {
                self.redis(redis, &field.key("redis"));
                self.error(
                    &field,
                    "both `embedded` and `redis` are given",
                    "Keep `embedded` or `redis`",
                )
            }
            (None, Some(redis)) => self.redis(redis, &field.key("redis")),
            (embedded, None) if !self.is_reported(&field) => {
                let path = embedded.and_then(|embedded| embedded.path);
                let path = match path {
                    Some(path) => self.path(&path),
                    None => data_directory.join(FILE_DEFAULT),
                };
                Some(StoreSettings::Embedded { path })
            }
            // The section could not be read; it may have been a Redis.
            (_, None) => None,
        }
    }

    fn redis(&mut self, raw: raw::Redis, field: &FieldPath) -> Option<StoreSettings> {
        let raw::Redis { url, sentinel, cluster, username, password_file, password, tls, prefix } =
            raw;
        let servers = self.redis_servers(url, sentinel, cluster, field);
        let password = self.secret(password_file.as_deref(), password, field, "password");
        let prefix = self.redis_prefix(prefix, &field.key("prefix"));
        let encrypted = servers.as_ref().map(|(_, said)| said.encrypted);
        let tls = self.redis_tls(tls, encrypted, &field.key("tls"));
        let (servers, UrlParts { encrypted: _, database, login }) = servers?;
        let login = self.redis_login(login, username, password.ok()?, field)?;
        let database = database.unwrap_or(0);
        let tls = tls.whole().ok()?;
        let settings = RedisSettings { servers, login, database, tls, prefix: prefix? };
        Some(StoreSettings::Redis(Box::new(settings)))
    }

    fn redis_servers(
        &mut self,
        url: Option<String>,
        sentinel: Option<raw::Sentinel>,
        cluster: Option<Vec<String>>,
        field: &FieldPath,
    ) -> Option<(RedisServers, UrlParts)> {
        let addresses = |located: &[Located]| -> Vec<_> {
            located.iter().map(|one| one.address.clone()).collect()
        };
        match (url, sentinel, cluster) {
            (Some(url), None, None) => {
                let field = field.key("url");
                let located = self.located(&url, &field, REDIS_PORT)?;
                let servers = RedisServers::Single(located.address.clone());
                Some((servers, self.agreed(vec![located], &field)?))
            }
            (None, Some(raw::Sentinel { master, nodes }), None) => {
                let field = field.key("sentinel");
                let remedy = "Write the name of the primary that the Sentinels watch";
                let master = self.required(master, &field.key("master"), remedy);
                let field = field.key("nodes");
                let located = self.all_located(&nodes, &field, SENTINEL_PORT)?;
                let nodes = addresses(&located);
                let said = self.agreed(located, &field);
                Some((RedisServers::Sentinel { master: master?.into(), nodes }, said?))
            }
            (None, None, Some(nodes)) => {
                let field = field.key("cluster");
                let located = self.all_located(&nodes, &field, REDIS_PORT)?;
                let nodes = addresses(&located);
                let said = self.agreed(located, &field)?;
                if said.database.is_some_and(|number| number != 0) {
                    let fact = "Redis Cluster has database 0 only";
                    return self.error(&field, fact, "Remove the number");
                }
                Some((RedisServers::Cluster(nodes), said))
            }
            (None, None, None)
            | (Some(_), Some(_), _)
            | (Some(_), None, Some(_))
            | (None, Some(_), Some(_)) => {
                let wanted = ["url", "sentinel", "cluster"].map(|key| field.key(key));
                let fact = "there must be exactly one of url, sentinel and cluster";
                self.lacking(field, &wanted, fact, "Write `url: redis://127.0.0.1:6379`")
            }
        }
    }

    /// The parts of all URLs, merged. A part that only some of them have applies to all.
    fn agreed(&mut self, located: Vec<Located>, field: &FieldPath) -> Option<UrlParts> {
        let encrypted = located.first()?.encrypted;
        if located.iter().any(|one| one.encrypted != encrypted) {
            let fact = "some of the URLs use TLS and some do not";
            return self.error(field, fact, "Write rediss:// or redis:// for all of them");
        }
        let mut said = UrlParts { encrypted, database: None, login: None };
        for Located { address: _, encrypted: _, database, username, password } in located {
            let login = (username.is_some() || password.is_some()).then_some((username, password));
            if differ(&said.database, &database) || differ(&said.login, &login) {
                let fact = "the URLs name different databases, users or passwords";
                return self.error(field, fact, "Name them in one of the URLs: they hold for all");
            }
            said.database = said.database.or(database);
            said.login = said.login.or(login);
        }
        Some(said)
    }

    fn redis_prefix(&mut self, prefix: Option<String>, field: &FieldPath) -> Option<Box<str>> {
        let prefix = prefix.unwrap_or_else(|| PREFIX_DEFAULT.to_owned());
        // Braces would be a hash tag of the user's own, which would take precedence over ours.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '{' | '}');
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || prefix.contains(is_odd) {
            let fact = format!("`{}` cannot be the prefix of keys", prefix.escape_debug());
            let remedy = "Use up to 64 characters, without braces and spaces";
            return self.error(field, &fact, remedy);
        }
        Some(prefix.into())
    }

    fn all_located(
        &mut self,
        urls: &[String],
        field: &FieldPath,
        port: u16,
    ) -> Option<Vec<Located>> {
        if urls.is_empty() {
            return self.empty(field, "there is no server", URL_REMEDY);
        }
        let located: Vec<_> = urls
            .iter()
            .enumerate()
            .map(|(index, url)| self.located(url, &field.index(index), port))
            .collect();
        located.into_iter().collect()
    }

    fn located(&mut self, url: &str, field: &FieldPath, port: u16) -> Option<Located> {
        match locate(url, port) {
            Some(located) => {
                let written = !self.document.is_from_environment(&self.document.original(field));
                if located.password.is_some() && written {
                    let remedy = "Use `password_file`, or `${NAME}` for the environment";
                    self.warn(field, "a secret is written in the file", remedy);
                }
                Some(located)
            }
            // The text is not printed: any part of it may be a password.
            None => self.error(field, "the value is not a Redis URL", URL_REMEDY),
        }
    }

    fn redis_login(
        &mut self,
        said: Option<(Option<Box<str>>, Option<String>)>,
        username: Option<String>,
        password: Option<Secret>,
        field: &FieldPath,
    ) -> Option<RedisLogin> {
        let login = match said {
            None => RedisLogin { username: username.map(Into::into), password },
            Some(_) if username.is_some() || password.is_some() => {
                let fact = "both the URL and other fields name a user or a password";
                return self.error(field, fact, "Keep `username` and `password_file`");
            }
            Some((username, password)) => RedisLogin {
                username,
                password: password.map(|password| Secret::new(password.into_bytes())),
            },
        };
        if login.username.is_some() && login.password.is_none() {
            // Without a password the gateway would connect as another user.
            let wanted = ["password", "password_file"].map(|key| field.key(key));
            let fact = "there is a username and no password";
            return self.lacking(field, &wanted, fact, "Add `password_file`");
        }
        Some(login)
    }

    /// TLS, if it is used. That is unknown if a problem with the servers was reported.
    fn redis_tls(
        &mut self,
        raw: raw::RedisTls,
        encrypted: Option<bool>,
        field: &FieldPath,
    ) -> Presence<RedisTls> {
        let raw::RedisTls { ca_file, certificate_file, key_file } = raw;
        let is_given = ca_file.is_some() || certificate_file.is_some() || key_file.is_some();
        match encrypted {
            Some(false) if is_given => {
                let fact = "the fields of `tls` have no effect without TLS";
                let remedy = "Write rediss:// in the URL, or remove them";
                return Presence::of(self.error(field, fact, remedy));
            }
            Some(false) => return Presence::Absent,
            Some(true) | None => {}
        }
        let ca_pem = match ca_file {
            Some(file) => {
                Presence::of(self.authorities(&file, &field.key("ca_file")).map(|(pem, _)| pem))
            }
            None => Presence::Absent,
        };
        let identity = match (certificate_file, key_file) {
            (None, None) => Presence::Absent,
            (Some(chain), Some(key)) => Presence::of(self.redis_identity(&chain, &key, field)),
            (Some(_), None) | (None, Some(_)) => {
                let fact = "only one of certificate_file and key_file is given";
                Presence::of(self.error(field, fact, "Name both certificate_file and key_file"))
            }
        };
        match (ca_pem.whole(), identity.whole()) {
            (Ok(ca_pem), Ok(identity)) => Presence::Present(RedisTls { ca_pem, identity }),
            (Err(Reported), _) | (_, Err(Reported)) => Presence::Broken,
        }
    }

    fn redis_identity(
        &mut self,
        chain_file: &str,
        key_file: &str,
        field: &FieldPath,
    ) -> Option<(Vec<u8>, Secret)> {
        let (chain_field, key_field) = (field.key("certificate_file"), field.key("key_file"));
        let chain = self.read(chain_file, &chain_field);
        let key = self.read(key_file, &key_field);
        let (chain, key) = (chain?, key?);
        match TlsCertificate::from_pem(&chain, &key) {
            Ok(_) => Some((chain, Secret::new(key))),
            Err(Unusable::Chain(fact)) => {
                self.error(&chain_field, &fact, "Name a certificate chain and its key")
            }
            Err(Unusable::Key(fact)) => {
                self.error(&key_field, &fact, "Name the private key of the certificate, in PEM")
            }
        }
    }
}

/// Whether both are present and differ.
fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    one.is_some() && other.is_some() && one != other
}

/// Splits `redis://user:password@host:port/database`.
fn locate(url: &str, default_port: u16) -> Option<Located> {
    let (scheme, rest) = url.split_once("://")?;
    let encrypted = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return None,
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match path {
        "" => None,
        number => Some(number.parse().ok().filter(|number| (0..=65_535).contains(number))?),
    };
    let (user, place) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((user, place)) => (Some(user), place),
    };
    let (username, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
        None => (None, None),
        Some((name, word)) => (Some(decoded(name)?), Some(decoded(word)?)),
    };
    let said = |text: &String| !text.is_empty();
    let (username, password) = (username.filter(said), password.filter(said));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, default_port),
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
        None => match place.split_once(':') {
            None => (place, default_port),
            Some((host, port)) => (host, port.parse().ok()?),
        },
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let good = !host.is_empty() && host.chars().all(is_host) && port != 0;
    let address = RedisAddress { host: host.into(), port };
    let username = username.map(Into::into);
    good.then_some(Located { address, encrypted, database, username, password })
}

/// Percent-decoding (RFC 3986 §2.1); `None` if it is malformed.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (String, bool, Option<i64>, Option<String>, Option<String>);

    fn parts(url: &str) -> Option<Parts> {
        locate(url, 6379).map(|found| {
            let Located { address, encrypted, database, username, password } = found;
            (address.to_string(), encrypted, database, username.map(Into::into), password)
        })
    }

    #[test]
    fn urls_are_taken_apart() {
        let text = |text: &str| Some(text.to_owned());
        for (url, expected) in [
            ("redis://localhost", ("localhost:6379", false, None, None, None)),
            ("redis://10.0.0.1:7000/3", ("10.0.0.1:7000", false, Some(3), None, None)),
            ("rediss://[::1]:7000", ("[::1]:7000", true, None, None, None)),
            ("redis://[::1]/", ("[::1]:6379", false, None, None, None)),
            ("redis://:pw@h", ("h:6379", false, None, None, text("pw"))),
            ("redis://u:p%40w@h", ("h:6379", false, None, text("u"), text("p@w"))),
        ] {
            let (address, encrypted, database, username, password) = expected;
            let expected = (address.to_owned(), encrypted, database, username, password);
            assert_eq!(parts(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_redis_url_is_refused() {
        for url in [
            "",
            "localhost:6379",
            "http://h",
            "redis://",
            "redis://:6379",
            "redis://h:0",
            "redis://h:port",
            "redis://h:70000",
            "redis://h/db",
            "redis://h/-1",
            "redis://h/1/2",
            "redis://u:%zz@h",
            "redis://u:%c3@h",
            "redis://a b",
        ] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}
