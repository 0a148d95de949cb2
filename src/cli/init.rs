//! `portcullis init`: a small configuration to begin with.

mod first_user;
mod scalar;
mod template;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Failure, table};
use crate::config;
use crate::private_files;
use first_user::FirstUser;
use template::{Provider, StartingPoint, Template};

const PASSWORD_FILE: &str = "users.yaml";

const EXAMPLES: &str = "\
Examples:
  Accept the tokens of your identity provider:
    portcullis init --for jwt --issuer https://login.example --audience orders-api

  Let users log in at the gateway, in front of a service on port 3000:
    portcullis init --for session --user alice --upstream 127.0.0.1:3000

  Accept API keys:
    portcullis init --for api-key";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Init {
    /// Credentials that callers authenticate with.
    #[arg(long = "for", value_enum, value_name = "START")]
    start: Start,
    /// Address and port that clients connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// Address and port of the admin listener, on this machine only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = loopback)]
    admin_address: SocketAddr,
    /// Host and port of the service behind the gateway.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9001", value_parser = peer)]
    upstream: String,
    /// With `jwt`: issuer of the tokens, exactly as their `iss` has it.
    #[arg(long, required_if_eq("start", "jwt"), value_parser = text)]
    issuer: Option<String>,
    /// With `jwt`: value of `aud` that the gateway accepts; repeat for several.
    #[arg(long, required_if_eq("start", "jwt"), value_parser = text)]
    audience: Vec<String>,
    /// With `jwt`: URL of the issuer's key set [default: ISSUER/.well-known/jwks.json].
    #[arg(long, value_name = "URL", value_parser = key_set_url)]
    jwks_url: Option<String>,
    /// With `session`: name of the first user [default: demo]. Their password is generated, and
    /// printed once.
    #[arg(long, value_name = "NAME", value_parser = first_user::name)]
    user: Option<String>,
    /// File to write, or `-` for standard output. `session` also writes `users.yaml` beside it,
    /// with mode 0600.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml")]
    output: PathBuf,
    /// Overwrite files that exist, `users.yaml` included.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Start {
    /// Bearer tokens (JWT) of an identity provider.
    Jwt,
    /// A login page, with a password file; browsers get a session cookie.
    Session,
    /// API keys, which `portcullis api-keys create` makes.
    ApiKey,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.refuse_what_does_not_go_together()?;
        let (text, note) = self.configuration()?;
        if self.is_to_standard_output() {
            eprint!("{}", self.next_steps(note.as_deref()));
            return table::print(&text);
        }
        let user = match self.start {
            Start::Session => Some(FirstUser::generate(self.user.as_deref())?),
            Start::Jwt | Start::ApiKey => None,
        };
        self.write(&text, user.as_ref())?;
        let mut told = format!("wrote {}\n", self.output.display());
        if let Some(user) = &user {
            let file = self.password_file();
            told.push_str(&format!("wrote {}: {}\n", file.display(), user.credentials()));
        }
        table::print(&format!("{told}\n{}", self.next_steps(note.as_deref())))
    }

    fn refuse_what_does_not_go_together(&self) -> Result<(), Failure> {
        let given = [
            ("--issuer", self.issuer.is_some(), Start::Jwt),
            ("--audience", !self.audience.is_empty(), Start::Jwt),
            ("--jwks-url", self.jwks_url.is_some(), Start::Jwt),
            ("--user", self.user.is_some(), Start::Session),
        ];
        for (option, is_given, start) in given {
            if is_given && self.start != start {
                return bad(format!("{option} only goes with --for {}", name_of(start)));
            }
        }
        if self.listen == self.admin_address {
            return bad("--listen and --admin-address are the same: choose two ports");
        }
        if self.start != Start::Session {
            return Ok(());
        }
        if self.is_to_standard_output() {
            return bad("--for session also writes users.yaml: name a file with --output");
        }
        if self.output.file_name() == Some(PASSWORD_FILE.as_ref()) {
            return bad("users.yaml is the password file: name another file with --output");
        }
        Ok(())
    }

    /// The text of the configuration, and a note about it.
    fn configuration(&self) -> Result<(String, Option<String>), Failure> {
        let mut note = None;
        let start = match (self.start, &self.issuer) {
            (Start::Jwt, Some(issuer)) => {
                let (jwks_url, is_guess) = self.key_set(issuer)?;
                note = is_guess.then(|| {
                    let discovery = template::discovery_url(issuer);
                    format!("The URL of the keys is a guess: compare it with `jwks_uri` in\n{discovery}\n")
                });
                let audiences = self.audience.clone();
                StartingPoint::Jwt(Provider { issuer: issuer.clone(), audiences, jwks_url })
            }
            // The parser does not accept the arguments without it.
            (Start::Jwt, None) => return bad("--for jwt needs --issuer"),
            (Start::Session, _) => StartingPoint::Session { password_file: PASSWORD_FILE },
            (Start::ApiKey, _) => StartingPoint::ApiKey,
        };
        let Self { listen, admin_address, upstream, .. } = self;
        let template =
            Template { listen: *listen, admin: *admin_address, upstream: upstream.clone(), start };
        Ok((template.render(), note))
    }

    /// The URL of the issuer's keys, and whether that is a guess.
    fn key_set(&self, issuer: &str) -> Result<(String, bool), Failure> {
        if let Some(url) = &self.jwks_url {
            return Ok((url.clone(), false));
        }
        let guess = format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        match config::key_set_url(&guess) {
            Ok(()) => Ok((guess, true)),
            Err(_) => bad(format!(
                "`{issuer}` is no URL that keys can be fetched below: write \
                 --issuer https://login.example, or name the key set with --jwks-url"
            )),
        }
    }

    fn is_to_standard_output(&self) -> bool {
        self.output.as_os_str() == "-"
    }

    fn password_file(&self) -> PathBuf {
        self.output.with_file_name(PASSWORD_FILE)
    }

    fn write(&self, text: &str, user: Option<&FirstUser>) -> Result<(), Failure> {
        let password_file = user.map(|user| (self.password_file(), user));
        let files = [Some(&self.output), password_file.as_ref().map(|(file, _)| file)];
        for file in files.into_iter().flatten() {
            // A dangling link also counts as an existing file.
            if !self.force && file.symlink_metadata().is_ok() {
                return taken(file);
            }
        }
        if let Some((file, user)) = &password_file {
            self.write_private(file, &user.password_file())?;
        }
        let written = self.write_readable(text);
        if let (Err(_), false, Some((file, _))) = (&written, self.force, &password_file) {
            // A leftover file would block the next attempt.
            let _ = std::fs::remove_file(file);
        }
        written
    }

    fn write_private(&self, file: &Path, text: &str) -> Result<(), Failure> {
        let written = match self.force {
            true => private_files::replace(file, text.as_bytes()).map(|()| true),
            false => private_files::create(file, text.as_bytes()),
        };
        match written {
            Ok(true) => Ok(()),
            Ok(false) => taken(file),
            Err(error) => cannot_write(file, &error),
        }
    }

    fn write_readable(&self, text: &str) -> Result<(), Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create(self.force).truncate(self.force).create_new(!self.force);
        let opened = options.open(&self.output);
        match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => taken(&self.output),
            Err(error) => cannot_write(&self.output, &error),
        }
    }

    /// Three commands for the next steps.
    fn next_steps(&self, note: Option<&str>) -> String {
        let config = match self.output.to_str() {
            Some("gateway.yaml") => String::new(),
            Some("-") => " --config FILE".to_owned(),
            _ => format!(" --config {}", shell_quoted(&self.output.display().to_string())),
        };
        let url = template::url(self.listen);
        let last = match self.start {
            Start::Jwt => format!(
                "curl -i -H \"Authorization: Bearer $TOKEN\" {url}   # a token of your provider, and the upstream running"
            ),
            Start::Session => format!("open {url} in a browser, and log in"),
            Start::ApiKey => format!(
                "curl -i -H \"X-Api-Key: $(portcullis api-keys create{config} --subject demo)\" {url}"
            ),
        };
        let note = note.map(|note| format!("\n{note}")).unwrap_or_default();
        format!("Next:\n  portcullis check{config}\n  portcullis serve{config}\n  {last}\n{note}")
    }
}

fn name_of(start: Start) -> String {
    start.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Quoted so that a shell reads it as one word.
fn shell_quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn bad<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::BadInput(format!("portcullis: {}", why.into())))
}

fn taken<T>(file: &Path) -> Result<T, Failure> {
    bad(format!(
        "{} exists and was not changed: name another file with --output, or overwrite it with --force",
        file.display()
    ))
}

fn cannot_write<T>(file: &Path, error: &std::io::Error) -> Result<T, Failure> {
    Err(Failure::Failed(format!("cannot write {}: {error}", file.display())))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
    address.ok_or_else(|| "write an address with a port, such as 127.0.0.1:8080".to_owned())
}

/// On any other address the admin listener needs a token in the configuration.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("write a loopback address, such as 127.0.0.1:9901".to_owned()),
    }
}

fn peer(text: &str) -> Result<String, String> {
    match config::is_peer(text) {
        true => Ok(text.to_owned()),
        false => Err("write 10.0.0.7:8080, [::1]:8080 or orders.internal:8080".to_owned()),
    }
}

fn text(text: &str) -> Result<String, String> {
    match text.trim() == text && !text.is_empty() && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("it is empty, or has white space or control characters around it".to_owned()),
    }
}

fn key_set_url(text: &str) -> Result<String, String> {
    match config::key_set_url(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(fact) => Err(format!("{fact}: write https://host/path")),
    }
}
