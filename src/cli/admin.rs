//! The connection of commands to a running gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{ConfigFile, Failure, serve};
use crate::admin::token;
use crate::config::{AdminToken, Settings};
use crate::fetch::{FetchError, Fetcher, Method, Question, StatusCode};
use crate::secret::Secret;

/// How to provide the token to a gateway that requires it.
const TOKEN_REMEDY: &str = "Name the gateway's configuration with --config, or a file that holds \
                            the token with --admin-token-file (the gateway's own is `admin.token` \
                            in its data directory)";

/// The gateway to connect to, from the arguments. A command lists it last: options after it would
/// appear under its heading.
#[derive(Debug, Args)]
pub(super) struct AdminListener {
    #[command(flatten, next_help_heading = "Which gateway")]
    file: ConfigFile,
    /// URL of the gateway's admin listener, such as http://127.0.0.1:9901 [default: from the
    /// configuration].
    #[arg(long, value_name = "URL", help_heading = "Which gateway")]
    admin: Option<String>,
    /// File with the admin token [default: the token that the configuration names, or
    /// `admin.token` in its data directory].
    #[arg(
        long,
        value_name = "FILE",
        env = "PORTCULLIS_ADMIN_TOKEN_FILE",
        help_heading = "Which gateway"
    )]
    admin_token_file: Option<PathBuf>,
}

/// A client of a gateway's admin API.
pub(super) struct AdminApi {
    base: String,
    token: Option<Secret>,
    fetcher: Fetcher,
    runtime: Runtime,
}

impl AdminListener {
    /// A client that gives up after `timeout`.
    pub(super) fn find(self, timeout: Duration) -> Result<AdminApi, Failure> {
        let (mut api, kept) = self.locate(timeout)?;
        if let Some(file) = kept {
            api.token = token::find(&file).map_err(|error| {
                Failure::Failed(format!(
                    "cannot read the admin token in {}: {error}. Run this as the gateway's user, \
                     or name a copy with --admin-token-file",
                    file.display()
                ))
            })?;
        }
        Ok(api)
    }

    /// The same for probes, which do not need permission to read the gateway's token.
    pub(super) fn find_probes(self, timeout: Duration) -> Result<AdminApi, Failure> {
        self.locate(timeout).map(|(api, _)| api)
    }

    /// The gateway's address, with the given token, or else the file in which the gateway keeps its
    /// own.
    fn locate(self, timeout: Duration) -> Result<(AdminApi, Option<PathBuf>), Failure> {
        let Self { file, admin, admin_token_file } = self;
        let given = admin_token_file.map(|file| {
            let bytes = std::fs::read(&file)
                .map_err(|error| Failure::BadInput(format!("{}: {error}", file.display())))?;
            Ok(Secret::new(bytes.trim_ascii().to_vec()))
        });
        let given = given.transpose()?;
        let (base, token, kept) = match admin {
            Some(url) if is_url(&url) => (url.trim_end_matches('/').to_owned(), given, None),
            Some(url) => {
                let why = format!("`{url}` is not a URL: write http://127.0.0.1:9901");
                return Err(Failure::BadInput(why));
            }
            None => {
                let settings = Settings::load(&file.config)
                    .map_err(|problems| Failure::BadInput(problems.to_string()))?;
                let mut address = settings.admin.address;
                // An unspecified address cannot be connected to.
                match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => {
                        address.set_ip(Ipv4Addr::LOCALHOST.into());
                    }
                    IpAddr::V6(ip) if ip.is_unspecified() => {
                        address.set_ip(Ipv6Addr::LOCALHOST.into());
                    }
                    IpAddr::V4(_) | IpAddr::V6(_) => {}
                }
                let base = format!("http://{address}");
                match (given, settings.admin.token) {
                    (Some(given), _) | (None, AdminToken::Given(given)) => {
                        (base, Some(given), None)
                    }
                    (None, AdminToken::Kept(file)) => (base, None, Some(file)),
                }
            }
        };
        serve::install_crypto_provider();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        // Some clients look for a runtime when they are built.
        let fetcher = {
            let _guard = runtime.enter();
            Fetcher::new(timeout, None).map_err(Failure::failed)?
        };
        Ok((AdminApi { base, token, fetcher, runtime }, kept))
    }
}

fn is_url(text: &str) -> bool {
    text.parse::<Uri>()
        .is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
}

impl AdminApi {
    /// Sends a request, and returns the response whatever its status.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let url = format!("{}{path}", self.base);
        let token = self.token.as_ref().map(|token| String::from_utf8_lossy(token.expose()));
        let question = Question { method, url: &url, token: token.as_deref(), body };
        self.runtime.block_on(self.fetcher.ask(question))
    }

    /// Fetches JSON that has `member`. Anything but success is a failure.
    pub(super) fn fetch(&self, path: &str, member: &str) -> Result<Value, Failure> {
        self.ask_for_json(Method::GET, path, None, member)
    }

    /// Posts JSON. The response is treated as in [`fetch`](Self::fetch).
    pub(super) fn post(&self, path: &str, body: &Value, member: &str) -> Result<Value, Failure> {
        self.ask_for_json(Method::POST, path, Some(body), member)
    }

    /// Deletes something. The response is treated as in [`fetch`](Self::fetch).
    pub(super) fn delete(&self, path: &str, member: &str) -> Result<Value, Failure> {
        self.ask_for_json(Method::DELETE, path, None, member)
    }

    fn ask_for_json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        member: &str,
    ) -> Result<Value, Failure> {
        let changes = method != Method::GET;
        let answered = self.ask(method, path, body);
        let (status, bytes) = answered.map_err(|error| self.unanswered(&error, changes))?;
        let parsed = serde_json::from_slice::<Value>(&bytes).ok();
        if status.is_success() {
            return parsed.filter(|value| value.get(member).is_some()).ok_or_else(|| {
                Failure::Failed(format!("the server at {} is not a gateway", self.base))
            });
        }
        let detail = parsed.as_ref().and_then(|value| value["detail"].as_str());
        let text = String::from_utf8_lossy(&bytes);
        let why = match detail.unwrap_or_else(|| text.trim()) {
            "" => format!("the answer was {status}"),
            why => why.to_owned(),
        };
        if status == StatusCode::UNAUTHORIZED {
            let why = match &self.token {
                Some(_) => "the gateway does not accept the admin token",
                None => &*why,
            };
            return Err(Failure::Failed(format!("{why}. {TOKEN_REMEDY}")));
        }
        if status == StatusCode::BAD_REQUEST {
            return Err(Failure::BadInput(format!("portcullis: {why}")));
        }
        Err(Failure::Failed(why))
    }

    /// The failure of a command that got no response.
    fn unanswered(&self, error: &FetchError, changes: bool) -> Failure {
        let base = &self.base;
        if !error.is_timeout() {
            return Failure::Failed(format!("no gateway answers at {base}: {error}"));
        }
        let hint = if changes {
            ". It may still carry out the command: check before you repeat it"
        } else {
            ""
        };
        Failure::Failed(format!("the gateway at {base} did not answer in time{hint}"))
    }
}

/// A path with a query of these fields (RFC 3986 §3.4).
pub(super) fn with_query(path: &str, fields: &[(&str, Value)]) -> String {
    let mut text = path.to_owned();
    for (number, (name, value)) in fields.iter().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.push(char::from(byte));
                }
                other => text.push_str(&format!("%{other:02X}")),
            }
        }
    }
    text
}

/// A value of the response as text; `-` if there is none. Names come from tokens and from other
/// gateways, so characters that would move the cursor of a terminal are escaped.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is serde_json's")]
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().map(visible).collect(),
        other => other.to_string(),
    }
}

fn visible(character: char) -> String {
    // The last two ranges change the direction of text.
    let moves = character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if moves { character.escape_default().to_string() } else { character.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_in_a_query_is_taken_for_its_syntax() {
        let fields = [("subject", json!("Zo\u{eb} & +1=?/#%")), ("wait_ms", json!(20))];
        let path = with_query("/v1/sessions", &fields);
        assert_eq!(path, "/v1/sessions?subject=Zo%C3%AB%20%26%20%2B1%3D%3F%2F%23%25&wait_ms=20");
        assert_eq!(with_query("/v1/sessions", &[]), "/v1/sessions");
    }

    #[test]
    fn nothing_that_is_shown_moves_the_cursor() {
        let shown = shown(&json!("Zo\u{eb} \"x\"\n\u{1b}[2J\u{9b}\u{202e}"));
        assert_eq!(shown, "Zo\u{eb} \"x\"\\n\\u{1b}[2J\\u{9b}\\u{202e}");
    }
}
