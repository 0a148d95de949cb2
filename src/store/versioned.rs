//! Reads records that state the version of their encoding.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::record::Unreadable;

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads a record of this version, or of an earlier one. New fields do not need a new version.
///
/// # Errors
///
/// What `unreadable` makes of the reason: the record has a later version, or is not such a record.
pub(super) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    version_max: u32,
    unreadable: fn(&str) -> Unreadable,
) -> Result<T, Unreadable> {
    let fault = |error: serde_json::Error| unreadable(&error.to_string());
    let Versioned { version } = serde_json::from_slice(bytes).map_err(fault)?;
    if version > version_max {
        return Err(unreadable(&format!("it has the later version {version}")));
    }
    serde_json::from_slice(bytes).map_err(fault)
}
