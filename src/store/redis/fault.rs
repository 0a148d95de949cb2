//! Describes faults of a server for an operator. It never shows a password.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;
use crate::store::settings::RedisAddress;

/// The fault of a replica.
pub(super) const REPLICA: &str = "it is a replica, which takes no writes";

/// The error for a command that failed at a server.
pub(super) fn at(address: &RedisAddress, what: &str, error: &RedisError) -> StoreError {
    let text = format!("Redis at {address}: {what}: {}", cause(error));
    match first(error).code() {
        // Another program uses these keys, or this one uses another's: waiting does not help.
        Some("WRONGTYPE") => StoreError::Unreadable(text),
        // The server refuses every other write, too.
        Some("OOM" | "NOREPLICAS" | "MISCONF") => StoreError::Refused(text),
        Some(_) | None => StoreError::Unavailable(text),
    }
}

/// The error for an answer to another question than the one that was asked: no answer on that
/// connection can be trusted any more.
pub(super) fn out_of_step() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "an answer about something else than was asked").into()
}

/// The error for an answer that cannot be understood.
pub(super) fn nonsense(what: &str) -> StoreError {
    StoreError::Unreadable(format!("Redis gave an answer that cannot be understood: {what}"))
}

/// Why a command failed, as a clause.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
pub(super) fn cause(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = &first(error);
    match error.kind() {
        ErrorKind::AuthenticationFailed => "the user name or the password is refused".to_owned(),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => REPLICA.to_owned(),
        ErrorKind::Server(_) | ErrorKind::Extension => {
            let code = error.code().unwrap_or("an error");
            error.detail().map_or(code.to_owned(), |detail| format!("{code} {detail}"))
        }
        _ => error.to_string(),
    }
}

/// The first error of several commands that were sent together. It has a code; their common error
/// has none.
fn first(error: &RedisError) -> RedisError {
    match error.clone().into_server_errors().as_deref() {
        Some([(_, first), ..]) => first.clone().into(),
        Some([]) | None => error.clone(),
    }
}

/// Whether the command was not executed, or may be executed again, and another connection may do
/// it: the one that was used had been closed, or its server is no longer the right one.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
pub(super) fn may_be_elsewhere(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => error.is_connection_dropped(),
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
        ),
        _ => false,
    }
}
