//! The command line: one file for each command.

mod admin;
mod api_keys;
mod change;
mod check;
mod echo;
mod gateways;
mod health;
mod keys;
mod password;
mod revocations;
mod revoke;
mod serve;
mod sessions;
mod table;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::telemetry::registry::RegisteredFamily;

/// An API gateway that drops: the speed of stateless tokens, the control of server-side sessions.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(ConfigFile),
    /// Compile the configuration and list its routes; public ones are marked.
    Check(check::Check),
    /// Make keys, and look after the gateway's own.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Mint a token for development from a key file.
    Token(token::Mint),
    /// Run a little upstream that answers with what it received.
    Echo(echo::Echo),
    /// Cut off a token, a session, a subject, a client, a key, an issuer or everybody, now.
    Revoke(revoke::Revoke),
    /// Look at who is cut off, and lift what was a mistake.
    #[command(subcommand)]
    Revocations(revocations::Revocations),
    /// Look at who is logged in, and end it.
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Make API keys, look at them, and revoke them.
    #[command(subcommand)]
    ApiKeys(api_keys::ApiKeys),
    /// Make password hashes.
    #[command(subcommand)]
    Password(password::Password),
    /// List the gateways that follow the revocation log, and how far they are.
    Gateways(gateways::Gateways),
    /// Ask a running gateway whether it is ready.
    Health(health::Health),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(long, default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
}

/// How a command that did not succeed ends.
#[derive(Debug)]
enum Failure {
    /// It could not be done: exit code 1.
    Failed(String),
    /// What it was given makes no sense: exit code 2.
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

/// Runs the command that the arguments name.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Serve(file) => serve::run(file),
        Command::Check(check) => check.run(),
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
