//! The audit log: one JSON line for each change that an operator makes or attempts.
//!
//! Written line by line before the response: changes are few, and none may be missing.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Semaphore;

use super::access_log::rfc3339;
use crate::private_files;

/// How long the writing of a line may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many lines may be written at the same time.
static PLACES: Semaphore = Semaphore::const_new(4);

/// The log entry of one change.
#[derive(Debug, Serialize)]
pub struct AuditRecord<'a> {
    /// The action.
    pub audit: &'a str,
    /// The time.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The operator, as they call themselves.
    pub actor: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// What was changed.
    pub target: &'a str,
    /// The operator's reason.
    pub reason: &'a str,
    /// The result: `ok`, or the slug of the refusal.
    pub result: &'a str,
    /// The position in the revocation log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Whether it will outlast this process.
    pub durable: bool,
}

impl AuditRecord<'_> {
    /// The line in the log.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a change is texts and numbers");
        line.push(b'\n');
        line
    }
}

/// Writes a line like [`write()`], off the threads that serve requests: standard output may have no
/// reader. The number of simultaneous writes is limited, however long that lasts.
///
/// # Errors
///
/// If it cannot be written, or not in time.
pub async fn append(file: Option<PathBuf>, line: Vec<u8>) -> std::io::Result<()> {
    let writing = async {
        let place = PLACES.acquire().await.map_err(std::io::Error::other)?;
        let writing = tokio::task::spawn_blocking(move || {
            let _held_while_it_takes = place;
            write(file.as_deref(), &line)
        });
        writing.await.map_err(std::io::Error::other)?
    };
    match tokio::time::timeout(TIMEOUT, writing).await {
        Ok(written) => written,
        Err(_) => Err(std::io::Error::other("the write took too long")),
    }
}

/// Writes a line to `file`, or to standard output if there is none. It blocks. The file is opened
/// each time, so that it can be moved away.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(file: Option<&Path>, line: &[u8]) -> std::io::Result<()> {
    let Some(file) = file else {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(line)?;
        return stdout.flush();
    };
    if let Some(directory) = file.parent() {
        private_files::create_directory(directory)?;
    }
    private_files::options().append(true).create(true).open(file)?.write_all(line)
}
