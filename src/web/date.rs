//! Formats times for responses and pages.

use serde_json::{Value, json};

use crate::clock;
use crate::gate::time::UnixTime;

/// RFC 3339; `null` for a time beyond what a clock can show.
pub(crate) fn date(time: UnixTime) -> Value {
    clock::system_time(time).map_or(Value::Null, |_| json!(instant(time)))
}

/// RFC 3339; a dash for a time beyond what a clock can show.
pub(crate) fn instant(time: UnixTime) -> String {
    let time = clock::system_time(time).map(humantime::format_rfc3339_seconds);
    time.map_or("-".to_owned(), |time| time.to_string())
}
