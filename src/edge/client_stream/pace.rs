//! How fast a client has to send a body, and to take an answer.
//!
//! Time counts only while the gateway waits for the client: what an upstream takes to accept a body
//! is not the client's fault.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::PaceRules;

/// The pace of one transfer.
///
/// A client may keep the gateway waiting for [`PaceRules::timeout`]. Waiting uses that up, and each
/// byte earns some of it back: as much as [`PaceRules::rate`] leaves it time for. So neither silence
/// nor a trickle holds a request open, and a client that is fast may pause.
#[derive(Debug)]
pub(in crate::edge) struct Pace {
    rules: PaceRules,
    /// How much longer it may keep us waiting.
    credit: Duration,
    waiting_since: Option<Instant>,
    /// When all of it must be transferred.
    ends_at: Option<Instant>,
}

impl Pace {
    pub(in crate::edge) fn begin(rules: PaceRules, now: Instant) -> Self {
        Self {
            rules,
            credit: rules.timeout,
            waiting_since: None,
            ends_at: rules.deadline.map(|deadline| now + deadline),
        }
    }

    /// The client keeps us waiting. Returns until when it may, unless bytes come.
    pub(in crate::edge) fn wait(&mut self, now: Instant) -> Instant {
        let since = *self.waiting_since.get_or_insert(now);
        let until = since + self.credit;
        self.ends_at.map_or(until, |end| end.min(until))
    }

    /// Whether the client is waited for.
    pub(in crate::edge) const fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// So many bytes came; after a wait, `now`.
    #[inline]
    pub(in crate::edge) fn arrived(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        // Mostly there was no wait, and there is nothing to add.
        if self.waiting_since.is_none() && self.credit == self.rules.timeout {
            return;
        }
        self.earn(bytes, now);
    }

    fn earn(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.credit = self.credit.saturating_sub(now().saturating_duration_since(since));
        }
        let earned = match self.rules.rate {
            // There is no rate: any byte will do.
            0 => self.rules.timeout,
            rate => Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate),
        };
        self.credit = (self.credit + earned).min(self.rules.timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PaceRules = PaceRules {
        timeout: Duration::from_secs(10),
        rate: 100,
        deadline: Some(Duration::from_secs(100)),
    };

    /// A body of which `bytes` arrive every `every_s` seconds; returns when it is given up, in
    /// seconds.
    fn given_up_after(rules: PaceRules, bytes: usize, every_s: u64) -> Option<u64> {
        let start = Instant::now();
        let mut pace = Pace::begin(rules, start);
        let mut now = start;
        loop {
            let until = pace.wait(now);
            now += Duration::from_secs(every_s);
            if until < now {
                return Some((until - start).as_secs());
            }
            if rules.deadline.is_some_and(|deadline| now - start > deadline) {
                return None;
            }
            pace.arrived(bytes, || now);
        }
    }

    #[test]
    fn silence_is_borne_for_the_timeout() {
        assert_eq!(given_up_after(RULES, 0, 1000), Some(10));
    }

    #[test]
    fn rate_is_accepted_and_less_is_given_up() {
        // Only the deadline ends a body that comes fast enough.
        assert_eq!(given_up_after(RULES, 100, 1), Some(100));
        assert_eq!(given_up_after(RULES, 900, 9), Some(100));
        // Half the rate uses up the ten seconds in twenty.
        assert_eq!(given_up_after(RULES, 50, 1), Some(19));
        // Bytes that came before do not pay for a longer silence.
        assert_eq!(given_up_after(RULES, 1_000_000, 11), Some(10));
    }

    #[test]
    fn without_a_rate_any_byte_will_do() {
        assert_eq!(given_up_after(PaceRules { rate: 0, ..RULES }, 1, 9), Some(100));
        assert_eq!(given_up_after(PaceRules { rate: 0, ..RULES }, 1, 11), Some(10));
    }

    #[test]
    fn time_that_the_client_is_not_waited_for_does_not_count() {
        let start = Instant::now();
        let later = start + Duration::from_secs(50);
        let mut pace = Pace::begin(RULES, start);
        pace.arrived(1, || later);
        assert!(!pace.is_waiting());
        assert_eq!(pace.wait(later), later + RULES.timeout);
    }
}
