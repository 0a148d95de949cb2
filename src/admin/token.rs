//! Keeps the token of the admin API if the configuration gives none. The gateway makes it at the
//! first start, in the data directory, for users who may read there.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::AdminToken;
use crate::issuer::random;
use crate::private_files;
use crate::secret::Secret;

/// 256 bits in base64url.
const CHARACTERS: usize = 43;

/// As much as is read of a file that should hold a line.
const FILE_BYTES_MAX: u64 = 4096;

/// How often to read a file again that another process has just made, or that was replaced.
const READS_MAX: usize = 4;

/// What is in the file.
enum TokenFile {
    Nothing,
    Token(Secret),
    /// It is not used, and why.
    Unusable(String),
}

/// The token that the gateway requires. A gateway that keeps its own token and has none yet makes
/// one. Reads and writes files.
///
/// # Errors
///
/// If there is none, and none can be kept; what can be done about it.
pub fn prepare(token: &AdminToken) -> Result<Secret, String> {
    let file = match token {
        AdminToken::Given(token) => return Ok(token.clone()),
        AdminToken::Kept(file) => file,
    };
    let failed = |why: &dyn std::fmt::Display| {
        let directory = file.parent().unwrap_or(Path::new("."));
        format!(
            "cannot keep the admin token in {}: {why}. Make {} a directory that the gateway may \
             write to, or name a file with a token of your own: admin.token_file",
            file.display(),
            directory.display(),
        )
    };
    let mut why = String::new();
    for _ in 0..READS_MAX {
        match read(file).map_err(|error| failed(&error))? {
            TokenFile::Token(token) => return Ok(token),
            TokenFile::Nothing => {
                let made = make(file).map_err(|error| failed(&error))?;
                if made {
                    tracing::info!("made a token for the admin API: {}", file.display());
                }
            }
            // Not an error: what mounts a volume may give its group access to all files, each time
            // (`fsGroup` of a pod), and a token that may have been read is worth nothing.
            TokenFile::Unusable(fact) => {
                tracing::warn!(
                    "the token in {} is not used: {fact}. A new token replaces it",
                    file.display()
                );
                remake(file).map_err(|error| failed(&error))?;
                why = fact;
            }
        }
    }
    Err(failed(&format!("it was changed after it was made: {why}")))
}

/// The token that a gateway on this machine has made, for its clients; `None` if there is none yet.
///
/// # Errors
///
/// If there is one that may not be read.
pub fn find(file: &Path) -> io::Result<Option<Secret>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(Secret::new(bytes.trim_ascii().to_vec()))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read(file: &Path) -> io::Result<TokenFile> {
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(TokenFile::Nothing),
        // It cannot be ours; if the directory is, it can be replaced.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Ok(TokenFile::Unusable(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let metadata = opened.metadata()?;
    if let Some((fact, _)) = private_files::others(&metadata) {
        return Ok(TokenFile::Unusable(format!("others may have read it, {fact}")));
    }
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let secret = Secret::new(bytes.trim_ascii().to_vec());
    let decoded = URL_SAFE_NO_PAD.decode(secret.expose());
    if secret.expose().len() != CHARACTERS || decoded.is_err() {
        return Ok(TokenFile::Unusable("it does not hold 43 characters of base64url".to_owned()));
    }
    Ok(TokenFile::Token(secret))
}

/// Makes a token, unless another process has just made one.
fn make(file: &Path) -> io::Result<bool> {
    if let Some(directory) = file.parent() {
        private_files::create_directory(directory)?;
    }
    private_files::create(file, new_token()?.expose())
}

fn remake(file: &Path) -> io::Result<()> {
    private_files::replace(file, new_token()?.expose())
}

fn new_token() -> io::Result<Secret> {
    let bits = random::bits().map_err(|_| io::Error::other("no randomness"))?;
    let mut line = URL_SAFE_NO_PAD.encode(*bits).into_bytes();
    line.push(b'\n');
    Ok(Secret::new(line))
}
