//! Remembers the exchanges of a family, and answers a token that was exchanged before.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::gate::time::SteadyTime;
use crate::store::family::{
    EARLIER_MAX, EXCHANGE_WITHIN_MS, Exchange, Premise, TokenDigest, unused_ms,
};
use crate::store::record::Unreadable;

/// The time now, in milliseconds: by the wall clock, which survives this process, and by the steady
/// clock, which cannot be set.
#[derive(Clone, Copy)]
pub(in crate::store::embedded) struct Instant {
    /// Since 1970.
    pub(super) wall_ms: u64,
    pub(super) steady: SteadyTime,
    /// A random number of the process that the steady clock belongs to.
    pub(super) process: u64,
}

impl Instant {
    /// The time now, by both clocks; `process` identifies the steady clock.
    pub(in crate::store::embedded) fn now(process: u64) -> Self {
        Self { wall_ms: clock::micros() / 1000, steady: clock::steady(), process }
    }

    /// The instant `ago_ms` milliseconds earlier.
    fn before(self, ago_ms: u64) -> Self {
        let steady = SteadyTime::from_millis(self.steady.as_millis().saturating_sub(ago_ms));
        Self { wall_ms: self.wall_ms.saturating_sub(ago_ms), steady, process: self.process }
    }
}

/// When an exchange was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Date {
    pub(super) wall_ms: u64,
    steady_ms: u64,
    process: u64,
}

impl Date {
    /// The date of an exchange at this time.
    pub(super) fn of(at: Instant) -> Self {
        let Instant { wall_ms, steady, process } = at;
        Self { wall_ms, steady_ms: steady.as_millis(), process }
    }

    /// A date of which only the wall clock's time is known.
    pub(super) fn by_wall(wall_ms: u64) -> Self {
        Self { wall_ms, steady_ms: 0, process: 0 }
    }

    /// How far apart this and an instant are, in milliseconds. While the process lives, a step of
    /// the wall clock makes a grace neither longer nor shorter. Afterwards only the wall clock is
    /// known, and the distance has the same length if it was set back.
    fn apart_ms(self, at: Instant) -> u64 {
        match self.process == at.process {
            true => self.steady_ms.abs_diff(at.steady.as_millis()),
            false => self.wall_ms.abs_diff(at.wall_ms),
        }
    }
}

/// An exchange that was made.
#[derive(Clone, Debug)]
pub(super) struct MadeExchange {
    pub(super) token: TokenDigest,
    pub(super) date: Date,
    /// The sealed successor; empty if it no longer leads to the current token.
    pub(super) sealed: Vec<u8>,
}

/// The exchanges of a family, as far back as a grace may reach, and whether its tokens were given
/// out more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchanges {
    /// The earliest first.
    pub(super) made: Vec<MadeExchange>,
    /// Whether the current token was.
    pub(super) is_shared: bool,
    /// Whether the token before it was.
    pub(super) was_shared: bool,
}

/// The answer to a token that is not the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SpentAnswer {
    /// The last exchange was asked for again.
    Repeated,
    /// The sealed successors from the token to the current one.
    Way(Vec<Vec<u8>>),
    Changed,
    Reused,
}

impl Exchanges {
    /// Whether an exchange may still be made: the family was read recently enough.
    pub(super) fn is_in_time(premise: &Premise, at: Instant) -> bool {
        at.steady.as_millis().abs_diff(premise.read_ms) < EXCHANGE_WITHIN_MS
    }

    /// Adds an exchange, and forgets those that no grace reaches.
    pub(super) fn add(&mut self, made: MadeExchange, grace_ms: u64, at: Instant) {
        let kept_ms = grace_ms.saturating_add(EXCHANGE_WITHIN_MS);
        let is_over = |made: &MadeExchange| made.date.apart_ms(at) >= kept_ms;
        // One that is over is kept: a token with its place or a lower one came earlier.
        while self.made.get(1).is_some_and(is_over) {
            self.made.remove(0);
        }
        if let Some(first) = self.made.first_mut()
            && is_over(first)
        {
            first.sealed.clear();
        }
        while self.made.len() > EARLIER_MAX {
            self.drop_one();
        }
        self.made.push(made);
        self.was_shared = std::mem::replace(&mut self.is_shared, false);
    }

    /// Drops the exchange whose neighbours are nearest. The one before it then no longer leads to
    /// the current token.
    fn drop_one(&mut self) {
        let gap = |i: &usize| {
            let (before, after) = (&self.made[i - 1].date, &self.made[i + 1].date);
            after.wall_ms.abs_diff(before.wall_ms)
        };
        if let Some(dropped) = (1..self.made.len().saturating_sub(1)).min_by_key(gap) {
            self.made.remove(dropped);
            self.made[dropped - 1].sealed.clear();
        }
    }

    /// The answer to a token that is neither the current one nor a later one.
    pub(super) fn answer(
        &self,
        exchange: &Exchange,
        current: TokenDigest,
        at: Instant,
    ) -> SpentAnswer {
        let Exchange { presented, successor, grace_ms, premise, .. } = exchange;
        let number = self.made.iter().position(|made| made.token == *presented);
        let is_last = number.is_some_and(|number| number + 1 == self.made.len());
        if is_last && successor.digest == current {
            return SpentAnswer::Repeated;
        }
        // The token was good when the sender read the family: it was presented before its exchange.
        let was_good = premise.holds_for(*presented);
        let read = at.before(at.steady.as_millis().saturating_sub(premise.read_ms));
        let date = number.map(|number| self.made[number].date).or_else(|| self.date_of(*presented));
        let age_ms = date.map(|date| match was_good {
            true => 0,
            false => date.apart_ms(read).saturating_sub(premise.waited_ms),
        });
        let is_unused = is_last && !self.was_shared;
        let is_within = |age_ms| {
            age_ms < *grace_ms || *grace_ms > 0 && is_unused && age_ms < unused_ms(*grace_ms)
        };
        // The same if only its successor was used since then: until that, the token led to it.
        let was_unused = !is_last
            && age_ms.is_some_and(|age_ms| age_ms < unused_ms(*grace_ms))
            && self.led_to(premise.current, number, *presented);
        match age_ms {
            Some(age_ms) if is_within(age_ms) => self.way_from(number),
            Some(_) | None if was_good || was_unused => SpentAnswer::Changed,
            Some(_) | None => SpentAnswer::Reused,
        }
    }

    /// Whether `token` is the successor of the presented one, by exchange `number` if that is
    /// known.
    fn led_to(&self, token: TokenDigest, number: Option<usize>, presented: TokenDigest) -> bool {
        let following = number.and_then(|number| self.made.get(number + 1));
        following.is_some_and(|following| following.token == token)
            || token.place == presented.place.saturating_add(1)
    }

    /// The latest time at which a token was exchanged whose exchange was dropped; `None` if the
    /// family has not made the token, as far as is known.
    fn date_of(&self, token: TokenDigest) -> Option<Date> {
        let made = self.made.iter().find(|made| made.token.place >= token.place)?;
        (made.token.place > token.place).then_some(made.date)
    }

    fn way_from(&self, number: Option<usize>) -> SpentAnswer {
        let Some(number) = number else { return SpentAnswer::Changed };
        let way: Vec<_> = self.made[number..].iter().map(|made| made.sealed.clone()).collect();
        match way.iter().any(Vec::is_empty) {
            true => SpentAnswer::Changed,
            false => SpentAnswer::Way(way),
        }
    }
}

/// The dates that are stored with the last exchange.
#[derive(Serialize, Deserialize)]
struct ExchangeNotes {
    /// The token of the last exchange, and its time.
    last: Option<(String, Date)>,
    #[serde(default)]
    earlier: Vec<(String, Date, String)>,
    #[serde(default)]
    is_shared: bool,
    #[serde(default)]
    was_shared: bool,
}

/// All but the successor of the last exchange, as JSON.
pub(super) fn encode(exchanges: &Exchanges) -> String {
    let Exchanges { made, is_shared, was_shared } = exchanges;
    let (last, earlier) = match made.split_last() {
        Some((last, earlier)) => (Some((last.token.to_string(), last.date)), earlier),
        None => (None, &[][..]),
    };
    let earlier = earlier.iter().map(|made| {
        let MadeExchange { token, date, sealed } = made;
        (token.to_string(), *date, URL_SAFE_NO_PAD.encode(sealed))
    });
    let (is_shared, was_shared) = (*is_shared, *was_shared);
    let written = ExchangeNotes { last, earlier: earlier.collect(), is_shared, was_shared };
    // Serializing texts and numbers does not fail.
    serde_json::to_string(&written).unwrap_or_default()
}

/// Parses what [`encode`] wrote about a family whose last exchange is this one. An earlier version
/// may have made that exchange without writing these notes: its token then gets the place before
/// the current one.
pub(super) fn decode(
    bytes: Option<&[u8]>,
    (digest, wall_ms, sealed): (&[u8; 32], u64, &[u8]),
    current: TokenDigest,
) -> Result<Exchanges, Unreadable> {
    let place = current.place.saturating_sub(1);
    let token = TokenDigest { place, digest: *digest };
    let mut last = MadeExchange { token, date: Date::by_wall(wall_ms), sealed: sealed.to_vec() };
    let Some(bytes) = bytes else {
        return Ok(Exchanges { made: vec![last], ..Exchanges::default() });
    };
    let odd = || Unreadable::family("its exchanges are not a list");
    let written: ExchangeNotes = serde_json::from_slice(bytes).map_err(|_| odd())?;
    let ExchangeNotes { last: known, earlier, is_shared, was_shared } = written;
    let (token, date) = known.ok_or_else(odd)?;
    let token = TokenDigest::parse(&token).ok_or_else(odd)?;
    let is_known = token.digest == last.token.digest;
    if is_known {
        last.token = token;
        // The wall clock's time in the table of the last exchange takes precedence.
        last.date = Date { wall_ms, ..date };
    }
    let earlier = earlier.into_iter().map(|(token, date, sealed)| {
        let token = TokenDigest::parse(&token).ok_or_else(odd)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| odd())?;
        Ok(MadeExchange { token, date, sealed })
    });
    let mut made: Vec<MadeExchange> = earlier.collect::<Result<_, Unreadable>>()?;
    if !is_known {
        made.clear();
    }
    made.push(last);
    Ok(Exchanges { made, is_shared: is_shared && is_known, was_shared: was_shared && is_known })
}

#[cfg(test)]
mod tests;
