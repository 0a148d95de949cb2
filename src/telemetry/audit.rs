//! The audit log: one JSON line for each change that an operator makes, or tries to make.
//!
//! Written before the answer is given, line by line: changes are few, and none may be missing.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Semaphore;

use super::access_log::rfc3339;
use crate::private_files;

/// How long a line may take to get into the log.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many lines may be on their way to the log.
static PLACES: Semaphore = Semaphore::const_new(4);

/// What is written of one change.
#[derive(Debug, Serialize)]
pub struct AuditRecord<'a> {
    /// What was done.
    pub audit: &'a str,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// By whom, as they say.
    pub actor: &'a str,
    /// From where.
    pub client: IpAddr,
    /// To whom or what.
    pub target: &'a str,
    /// Why, as they say.
    pub reason: &'a str,
    /// What came of it: `ok`, or the slug of the refusal.
    pub result: &'a str,
    /// The position in the revocation log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Whether it will survive this process.
    pub durable: bool,
}

impl AuditRecord<'_> {
    /// The line that is written of it.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a change is texts and numbers");
        line.push(b'\n');
        line
    }
}

/// Writes a line like [`write()`], away from the threads that serve: nobody may be reading standard
/// output. And never many at once, however long nobody does.
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

/// Writes a line to `file`, or to standard output if there is none; blocking. The file is opened
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
