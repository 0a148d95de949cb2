//! The command line: one file for each command.

mod admin;
mod api_keys;
mod change;
mod check;
mod completions;
pub mod conventions;
mod echo;
mod gateways;
mod health;
mod init;
mod keys;
mod manual;
mod openapi;
mod password;
mod revocations;
mod revoke;
mod schema;
mod serve;
mod sessions;
mod table;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::telemetry::registry::RegisteredFamily;

/// The exit codes of every command, and where its help is.
const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 bad input.
`portcullis COMMAND --help` describes a command and its options.";

/// Run an API gateway that authenticates every request, and operate it.
///
/// The gateway accepts bearer tokens (JWT), session cookies and API keys, applies the policy of
/// each route, and tells the services behind it who is calling.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until it is stopped.
    ///
    /// SIGHUP, or a change to the configuration or a file that it names, reloads. SIGTERM and
    /// SIGINT stop: requests in flight finish within `server.shutdown_grace` (30s by default).
    Serve(ConfigFile),
    /// Write a small configuration to begin with.
    ///
    /// The file is complete and commented: `portcullis check` accepts it, and `portcullis serve`
    /// runs it. The command prints what to do next.
    Init(init::Init),
    /// Check the configuration and list its routes.
    ///
    /// Nothing is started or written, and no network is needed. Errors and warnings go to standard
    /// error, each with its file, line and field. Paths that are refused because an upstream may
    /// read them as paths of another route are warnings.
    Check(check::Check),
    /// Print the JSON Schema of the configuration.
    ///
    /// Editors use it to complete fields and mark mistakes, if a configuration begins with
    /// `# yaml-language-server: $schema=` and the path or URL of the schema.
    Schema,
    /// Generate key pairs, and list or rotate the gateway's signing keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Sign a token for development with a key from a file.
    ///
    /// The gateway accepts such a token only if an issuer of its configuration has this key.
    Token(token::Mint),
    /// Run a small upstream that answers with the request it received, as JSON.
    Echo(echo::Echo),
    /// Revoke a token, session, user, client, key, issuer, or everything.
    ///
    /// A running gateway carries this out, and informs all gateways of its store within
    /// milliseconds. Requests in flight with a revoked credential end within a second.
    Revoke(revoke::Revoke),
    /// List revocations, and lift those that were made by mistake.
    #[command(subcommand)]
    Revocations(revocations::Revocations),
    /// List the sessions of a user, and end them.
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Create, list and revoke API keys.
    #[command(subcommand)]
    ApiKeys(api_keys::ApiKeys),
    /// Hash passwords and client secrets.
    #[command(subcommand)]
    Password(password::Password),
    /// List the gateways that share a store, and how current each one is.
    ///
    /// LAG is the number of log records that a gateway has not applied yet, SILENT the time since
    /// it was last heard of, CLOCK how far its clock is ahead of the store's. DIFFERS IN names the
    /// settings in which a gateway differs from the one that answers.
    Gateways(gateways::Gateways),
    /// Ask a running gateway whether it is ready; exit code 1 if it is not.
    ///
    /// This is the health check of a container: it needs no other client and no admin token.
    Health(health::Health),
    /// Print the completions of commands and options for a shell.
    Completions(completions::Completions),
    /// Print the manual page, or write a page for each command.
    Man(manual::Manual),
    /// Print the OpenAPI 3.1 document of the admin API or of the gateway's own endpoints, as JSON.
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApi),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// Configuration file of the gateway.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
}

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// It failed: exit code 1.
    Failed(String),
    /// Its input is invalid: exit code 2.
    BadInput(String),
}

impl Failure {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Every metric family of ours with its labels and their values, for the reference.
///
/// # Errors
///
/// If two families have the same name, which a test would have shown.
pub fn metric_families() -> prometheus::Result<Vec<RegisteredFamily>> {
    serve::metric_families()
}

impl Arguments {
    /// Reads the arguments of the process. Ends it with a message if they are wrong, or for `--help`.
    pub fn typed() -> Self {
        Self::try_parse().unwrap_or_else(|mut error| {
            if names_configuration(&error) {
                let tip = "the configuration file is named with --config".to_owned();
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            }
            error.exit()
        })
    }
}

/// Whether an argument is a configuration file where none is expected: nginx and HAProxy name theirs
/// with an option, too, but not all do.
fn names_configuration(error: &clap::Error) -> bool {
    let file = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument,
        Some(_) | None => return false,
    };
    error.kind() == ErrorKind::UnknownArgument
        && [".yaml", ".yml"].iter().any(|extension| file.ends_with(extension))
}

/// Runs the command that the arguments name.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Serve(file) => serve::run(file),
        Command::Check(check) => check.run(),
        Command::Schema => schema::run(),
        Command::Keys(keys) => keys.run(),
        Command::Token(mint) => mint.run(),
        Command::Echo(echo) => echo.run(),
        Command::Revoke(revoke) => revoke.run(),
        Command::Revocations(revocations) => revocations.run(),
        Command::Sessions(sessions) => sessions.run(),
        Command::ApiKeys(api_keys) => api_keys.run(),
        Command::Password(password) => password.run(),
        Command::Gateways(gateways) => gateways.run(),
        Command::Health(health) => health.run(),
        Command::Init(init) => init.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(manual) => manual.run(),
        Command::OpenApi(openapi) => openapi.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            eprintln!("portcullis: {why}");
            ExitCode::from(1)
        }
        Err(Failure::BadInput(why)) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
