//! Announces to the other gateways how far this one has read, and asks how far they are.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{RevocationFeed, setting_differences};
use crate::clock;
use crate::gate::policy::Policy;
use crate::gate::time::SteadyTime;
use crate::store::{GATEWAY_FORGOTTEN_AFTER_MS, GatewayState, Position, Roster, StoreError};

/// How often a gateway announces itself.
const EVERY: Duration = Duration::from_secs(1);

/// The longest answer of the store's clock that is still used, in milliseconds.
const ANSWER_MAX_MS: u64 = 200;

/// How far our clock may be from the store's before the log warns of it, in milliseconds.
const APART_WARNED_MS: i64 = 5_000;

/// A gateway that announced itself within this time may know what a store has lost, in
/// milliseconds. Each gateway announces itself once a second.
const HEARD_WITHIN_MS: u64 = 3_000;

/// The shortest pause between two announcements, however many revocations arrive.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a silent gateway is still counted after it has stopped serving from memory, and the
/// upper bound of the whole time, in milliseconds.
const COUNTED_BEYOND_MS: u64 = 5_000;
const COUNTED_MAX_MS: u64 = 3_600_000;

impl RevocationFeed {
    /// Announces progress as it is made, and at least once a second.
    pub(super) async fn announce(&self) {
        let mut applied = self.applied.subscribe();
        let mut looked = Instant::now();
        loop {
            let reached = *applied.borrow_and_update();
            // The task that follows the log reports a store that is unavailable.
            if let Some(reached) = reached
                && self.tell(reached).await.is_ok()
                && looked.elapsed() >= EVERY
            {
                // This gateway must know the others before the store can forget them.
                looked = Instant::now();
                drop(self.remind().await);
                drop(self.read_clock().await);
            }
            tokio::time::sleep(PAUSE).await;
            drop(tokio::time::timeout(EVERY, applied.changed()).await);
        }
    }

    /// Announces that this gateway runs, and how far it has read.
    pub(super) async fn tell(&self, reached: Position) -> Result<(), StoreError> {
        let _one_at_a_time = self.announcing.lock().await;
        if self.is_leaving.load(Ordering::Acquire) {
            return Ok(());
        }
        let state = GatewayState {
            instance: self.instance.clone(),
            name: self.configuration.load().settings.server.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            applied: reached.sequence,
            mark: reached.mark,
            counted_for_ms: self.counted_for_ms(),
            clock_ahead_ms: clock::ahead_ms(),
            settings: setting_differences::settings(&self.configuration.load()),
        };
        let asked_at = clock::steady();
        self.timed("announce", self.fleet.announce(&state)).await?;
        self.announced.store(asked_at.as_millis(), Ordering::Release);
        Ok(())
    }

    /// Makes the other gateways count this gateway and those that it knows of.
    pub(super) async fn count_in(&self, reached: Position) -> Result<(), StoreError> {
        // From now on all gateways date records by the same clock.
        self.read_clock().await?;
        let counted = match self.tell(reached).await {
            Ok(()) => self.remind().await,
            refused => refused,
        };
        match counted {
            // If the store refuses writes, it takes no revocations either. Those in it can still be
            // read.
            Err(StoreError::Refused(why)) => {
                tracing::debug!(%why, "the store refuses writes");
                Ok(())
            }
            counted => counted,
        }
    }

    /// Reads the store's clock, by which gateways date shared records, and logs if ours is far from
    /// it. The time that the answer takes is the error, so a slow answer is not used.
    async fn read_clock(&self) -> Result<(), StoreError> {
        let asked = clock::steady();
        let store_ms = self.timed("time", self.fleet.time_ms()).await?;
        let took_ms = clock::steady().millis_since(asked);
        if let Some(store_ms) = store_ms
            && (took_ms <= ANSWER_MAX_MS || clock::ahead_ms().is_none())
        {
            // The clock was read about half-way between request and answer.
            clock::share(store_ms, SteadyTime::from_millis(asked.as_millis() + took_ms / 2));
        }
        self.is_dated.send_replace(true);
        if store_ms.is_none() {
            return Ok(());
        }
        let ahead_ms = clock::ahead_ms().unwrap_or(0);
        self.metrics.clock_ahead.set(ahead_ms as f64 / 1000.0);
        let is_apart = ahead_ms.abs() > APART_WARNED_MS;
        if self.is_apart.swap(is_apart, Ordering::Relaxed) == is_apart {
            return Ok(());
        }
        match is_apart {
            true => tracing::warn!(
                ahead_ms,
                "this machine's clock is not that of the store, by which gateways date cut-offs and \
                 logins; tokens are judged by this one. Beyond {} s the gateway is not ready",
                clock::APART_MAX_MS / 1000
            ),
            false => tracing::info!(ahead_ms, "this machine's clock agrees with the store's again"),
        }
        Ok(())
    }

    /// Reminds the store of gateways that it has forgotten: a gateway that starts now would not
    /// know of them.
    pub(super) async fn remind(&self) -> Result<(), StoreError> {
        let roster = self.timed("roster", self.fleet.roster()).await?;
        self.metrics.records.set(i64::try_from(roster.records).unwrap_or(i64::MAX));
        let listed = roster.gateways.len();
        let complete = self.known.complete(roster, clock::steady());
        self.compare(&complete.gateways);
        let (now, steady) = (clock::shared(), clock::steady());
        let silent_since = self.silent.since(&complete.gateways, &self.instance, now, steady);
        self.configuration.load().gate.sessions.table.silent_gateway_since(silent_since);
        if complete.gateways.len() > listed {
            for known in complete.gateways.iter().filter(|known| !known.follows) {
                self.timed("remind", self.fleet.remind(known)).await?;
            }
        }
        Ok(())
    }

    /// Whether another gateway that announced itself recently has read further than the log's end.
    /// If so, the log has lost records, and the other gateway may not have noticed yet.
    pub(super) async fn is_shorter_than_read(&self) -> Result<bool, StoreError> {
        let roster = self.roster().await?;
        Ok(roster.gateways.iter().any(|known| {
            known.state.instance != self.instance
                && known.silent_ms < HEARD_WITHIN_MS
                && known.state.applied > roster.head
        }))
    }

    /// Whether this gateway was announced recently enough that the others still count it.
    pub(super) fn is_counted(&self) -> bool {
        // The steady clock starts at a minute, so 0 is long ago.
        let announced = SteadyTime::from_millis(self.announced.load(Ordering::Acquire));
        clock::steady().millis_since(announced) < GATEWAY_FORGOTTEN_AFTER_MS / 2
    }

    /// How long requests may be served without contact, plus a margin.
    fn counted_for_ms(&self) -> u64 {
        let configuration = self.configuration.load();
        let routes = configuration.gate.settings.routes.routes().iter();
        let longest = routes.map(|route| match &route.policy {
            Policy::Public => 0,
            Policy::Authenticate(rule) => {
                rule.when_stale.safe_age_max_ms.max(rule.when_stale.unsafe_age_max_ms)
            }
        });
        longest.max().unwrap_or(0).saturating_add(COUNTED_BEYOND_MS).min(COUNTED_MAX_MS)
    }

    /// Tells the other gateways that this one is gone.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached. The gateway is then still counted for a while.
    pub async fn leave(&self) -> Result<(), StoreError> {
        // Otherwise the next revocation would put this gateway on the roster again.
        self.is_leaving.store(true, Ordering::Release);
        let undelivered = self.pending.len();
        if undelivered > 0 {
            tracing::error!(
                undelivered,
                "stopped with revocations that the store never accepted: they are lost"
            );
        }
        let _told_before = self.announcing.lock().await;
        self.fleet.leave(&self.instance).await
    }

    /// The gateways that follow the log, and those that the store has forgotten and that may still
    /// be serving.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached.
    pub async fn roster(&self) -> Result<Roster, StoreError> {
        let roster = self.timed("roster", self.fleet.roster()).await?;
        Ok(self.known.complete(roster, clock::steady()))
    }

    /// The same, as of `since` or later. Callers that wait at the same time share one read.
    pub(super) async fn roster_since(&self, since: Instant) -> Result<Roster, StoreError> {
        let mut looked = self.looked.lock().await;
        if let Some((began, roster)) = &*looked
            && *began >= since
        {
            return Ok(roster.clone());
        }
        let began = Instant::now();
        let roster = self.roster().await?;
        *looked = Some((began, roster.clone()));
        Ok(roster)
    }
}
