//! `portcullis token`: mint tokens for development.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use crate::clock;
use crate::config;
use crate::issuer::key_pairs::SigningKey;

const EXAMPLES: &str = "\
Examples:
  A key pair for trying things out, and a token of it:
    portcullis keys generate --private-key dev.pem --public-key dev-public.pem
    portcullis token --key dev.pem --issuer https://dev.example --audience orders-api --subject alice";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Mint {
    /// File with a private key in PEM (RSA, EC or Ed25519), or with a secret for HS256.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Issuer of the token (`iss`).
    #[arg(long)]
    issuer: String,
    /// Audience of the token (`aud`); repeat for several.
    #[arg(long, required = true)]
    audience: Vec<String>,
    /// User or service that the token stands for (`sub`).
    #[arg(long)]
    subject: String,
    /// Scope of the token; repeat for several.
    #[arg(long)]
    scope: Vec<String>,
    /// Role in the claim `roles`; repeat for several.
    #[arg(long)]
    role: Vec<String>,
    /// Another claim; repeat for several. VALUE is JSON, or else taken as a string.
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// Time until the token expires, such as 30s, 15m or 12h.
    #[arg(long, default_value = "15m")]
    lifetime: String,
    /// Key id in the header (`kid`) [default: none].
    #[arg(long)]
    kid: Option<String>,
    /// Type in the header (`typ`).
    #[arg(long, default_value = "at+jwt", value_name = "TYPE")]
    r#type: String,
    /// Number of tokens to print, one a line, each with its own `jti`.
    #[arg(long, default_value_t = 1)]
    count: u32,
}

/// Claims as they are typed: NAME=VALUE, where the value is JSON, or else a string.
pub(super) fn typed_claims(typed: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut claims = Map::new();
    for claim in typed {
        let parts = claim.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = parts.ok_or_else(|| {
            Failure::BadInput(format!("`{claim}` is not a claim: write NAME=VALUE"))
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        if claims.insert(name.to_owned(), value).is_some() {
            return Err(Failure::BadInput(format!("the claim `{name}` is given twice")));
        }
    }
    Ok(claims)
}

/// The option that sets a claim which the command writes.
fn option_for(claim: &str) -> &'static str {
    match claim {
        "iss" => "use --issuer",
        "aud" => "use --audience",
        "sub" => "use --subject",
        "scope" => "use --scope",
        "roles" => "use --role",
        "jti" => "each token has an id of its own",
        _ => "use --lifetime",
    }
}

impl Mint {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bytes = std::fs::read(&self.key).map_err(|error| {
            Failure::Failed(format!("cannot read {}: {error}", self.key.display()))
        })?;
        if bytes.trim_ascii_start().starts_with(b"{") {
            let fact = "is JSON: name a private key in PEM, or a file with a secret";
            return Err(Failure::BadInput(format!("{} {fact}", self.key.display())));
        }
        let key = SigningKey::from_file(&bytes, self.kid.clone())
            .map_err(|error| Failure::Failed(format!("{}: {error}", self.key.display())))?;
        let mut claims = self.claims()?;
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for _ in 0..self.count {
            claims.insert("jti".to_owned(), json!(format!("{:032x}", fastrand::u128(..))));
            let token = key.sign(&self.r#type, &claims).map_err(Failure::failed)?;
            writeln!(out, "{token}").map_err(Failure::failed)?;
        }
        out.flush().map_err(Failure::failed)
    }

    fn claims(&self) -> Result<Map<String, Value>, Failure> {
        let lifetime = config::duration(&self.lifetime).ok_or_else(|| {
            Failure::BadInput(format!("`{}` is not a duration: write 15m, 1h …", self.lifetime))
        })?;
        let issued_at = clock::now();
        let expires = issued_at.plus(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let mut claims = typed_claims(&self.claim)?;
        let audience = match self.audience.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        let own = [
            ("iss", json!(self.issuer)),
            ("aud", audience),
            ("sub", json!(self.subject)),
            ("iat", json!(issued_at.as_seconds())),
            ("exp", json!(expires.as_seconds())),
        ];
        let scope = (!self.scope.is_empty()).then(|| ("scope", json!(self.scope.join(" "))));
        let roles = (!self.role.is_empty()).then(|| ("roles", json!(self.role)));
        // Each token gets one later.
        let id = ("jti", Value::Null);
        for (name, value) in own.into_iter().chain(scope).chain(roles).chain([id]) {
            if claims.insert(name.to_owned(), value).is_some() {
                return Err(Failure::BadInput(format!(
                    "--claim {name}=… contradicts what the command writes itself: {}",
                    option_for(name)
                )));
            }
        }
        Ok(claims)
    }
}
