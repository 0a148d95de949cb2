//! Times as scores of sorted sets.

use crate::gate::time::UnixTime;

/// A time as a score in a sorted set.
pub(super) fn score(time: UnixTime) -> String {
    if time == UnixTime::NEVER { "+inf".to_owned() } else { time.as_seconds().to_string() }
}
