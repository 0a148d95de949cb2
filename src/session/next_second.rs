//! Waits for the next second after a cut-off. Cut-offs count in seconds: a login in the same second
//! would be cut off, too.

use std::time::{Duration, Instant};

use crate::clock;

/// How long to wait for the end of the second in which a cut-off was made.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks until there is an answer, again in each new second. `None` if that does not help.
pub(crate) async fn ask_until_next_second<T>(ask: impl FnMut() -> Option<T>) -> Option<T> {
    ask_within(PATIENCE, ask).await
}

async fn ask_within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        // This is read before asking: a gateway that stood still while it asked asks once more.
        let is_last = begun.elapsed() > patience;
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if is_last {
            return None;
        }
        tokio::time::sleep(until_next_second()).await;
    }
}

/// How long it takes until new logins can be told apart from those that were cut off.
pub(crate) fn until_next_second() -> Duration {
    // And a little more: timers may be early where the clock is corrected.
    clock::until_next_shared_second() + Duration::from_millis(1)
}

#[cfg(test)]
mod tests {
    use crate::session::next_second::*;

    #[test]
    fn next_second_is_at_most_one_away() {
        assert!(until_next_second() <= Duration::from_millis(1001));
    }

    #[tokio::test]
    async fn who_stood_still_asks_once_more() {
        let patience = Duration::from_millis(1);
        let mut asked = 0;
        let mut stand_still = |answers_at: usize| {
            asked += 1;
            std::thread::sleep(2 * patience);
            (asked == answers_at).then_some(asked)
        };
        assert_eq!(ask_within(patience, || stand_still(2)).await, Some(2));
        assert_eq!(ask_within(patience, || stand_still(0)).await, None);
        assert_eq!(asked, 4);
    }
}
