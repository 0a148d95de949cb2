//! Announces this gateway to the others, and reads which gateways follow the log.

use std::sync::PoisonError;

use async_trait::async_trait;
use serde::Deserialize;

use super::master::Live;
use super::reply::{Flag, HeldRecord, Pairs};
use super::script::{ANNOUNCE, LEAVE, REMIND, ROSTER};
use super::{Redis, fault};
use crate::clock;
use crate::store::{
    Fleet, GATEWAY_FORGOTTEN_AFTER_MS, GatewayState, KnownGateway, Knows, Loss, Position, Roster,
    StoreError,
};

/// An entry of the roster: a gateway, or the note that the roster was lost.
#[derive(Deserialize)]
struct FleetMessage {
    /// When the entry was written, by the server's clock, in milliseconds since 1970.
    told_ms: u64,
    #[serde(default)]
    gateway: Option<GatewayState>,
    /// The instance of a gateway that has left.
    #[serde(default)]
    left: Option<String>,
    /// For how long it matters that the server lost announcements of gateways.
    #[serde(default)]
    lost_for_ms: u64,
}

/// The answer to an announcement: the head of the log and its record, whether the server has all
/// its data, whether the previous announcement is gone, and then the record at the gateway's
/// position.
type Announced = (u64, Option<Vec<u8>>, Flag, Flag, Option<Vec<u8>>);

impl Redis {
    /// Announces how far a gateway has applied the log and, if known, for how long an unknown
    /// gateway may matter.
    async fn announce_on(
        &self,
        state: &GatewayState,
        must_be_there: bool,
        lost_for_ms: Option<u64>,
    ) -> Result<(Announced, Live), StoreError> {
        let text = serde_json::to_string(state)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        let mut telling = ANNOUNCE.key(&self.keys.gateways);
        telling.key(&self.keys.log).key(&self.keys.settled).arg(&state.instance).arg(text);
        telling.arg(state.applied).arg(u8::from(must_be_there));
        match lost_for_ms {
            Some(lost_for_ms) => telling.arg(lost_for_ms),
            None => telling.arg(-1),
        };
        let telling = &telling;
        self.link
            .ask_and_tell(&self.master, "announcing", move |mut connection| async move {
                telling.invoke_async(&mut connection).await
            })
            .await
    }

    /// A reader that is ahead of the link for commands is connected to another server, or its log
    /// has lost records since. This begins a new epoch, once for each position.
    fn begin_epoch_if_ahead(&self, state: &GatewayState, head: u64, link: &Live) {
        let applied = Position { sequence: state.applied, mark: state.mark };
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if applied.sequence <= head {
            *ahead = None;
        } else if ahead.replace(applied) != Some(applied) {
            self.master.begin_epoch_after(link);
        }
    }
}

#[async_trait]
impl Fleet for Redis {
    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        let (seconds, micros): (u64, u64) = self
            .link
            .ask(&self.master, "reading the clock", move |mut connection| async move {
                redis::cmd("TIME").query_async(&mut connection).await
            })
            .await?;
        Ok(Some(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
    }

    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError> {
        // Every gateway calls this once a second.
        self.master.look_again().await;
        let (now, epoch) = (clock::steady(), self.master.epoch());
        let must_be_there = self.last_announcement.must_be_there(now, epoch);
        let ((mut head, mut record, Flag(mut is_complete), Flag(is_gone), at), mut link) =
            self.announce_on(state, must_be_there, None).await?;
        if is_gone {
            let applied = Position { sequence: state.applied, mark: state.mark };
            // If the log was lost, too, other gateways write what is missing: see `await_complete`.
            let is_log_there = match HeldRecord::from_record(at.as_deref()) {
                Ok(held) => held.loss(applied, head) != Some(Loss::WentBackwards),
                // An unreadable record may be the one at that position.
                Err(_) => true,
            };
            // Unknown gateways may still be serving: nothing is confirmed, for a minute at most.
            let unknown_for_ms = state.counted_for_ms.min(GATEWAY_FORGOTTEN_AFTER_MS);
            let lost_for_ms = if is_log_there { unknown_for_ms } else { 0 };
            ((head, record, Flag(is_complete), _, _), link) =
                self.announce_on(state, false, Some(lost_for_ms)).await?;
        }
        self.last_announcement.is_there(now, link.epoch());
        // A record that cannot be read has no known mark.
        let mark = match HeldRecord::from_record(record.as_deref()) {
            Ok(HeldRecord::Entry(mark)) => mark,
            Ok(HeldRecord::Nothing) | Err(_) => None,
        };
        self.head.moved_to(&link, Position { sequence: head, mark });
        self.begin_epoch_if_ahead(state, head, &link);
        if !is_complete {
            self.completeness.ask_again();
        }
        Ok(())
    }

    async fn ask_complete(&self, instance: &str, knows: Knows) -> Result<bool, StoreError> {
        self.ask_whether_complete(instance, knows).await
    }

    fn is_complete(&self) -> bool {
        self.is_known_complete()
    }

    fn doubt(&self) {
        self.completeness.doubt();
    }

    fn server_changes(&self) -> u64 {
        self.master.changes()
    }

    fn epoch(&self) -> u64 {
        self.master.epoch()
    }

    async fn remind(&self, forgotten: &KnownGateway) -> Result<(), StoreError> {
        let KnownGateway { state, silent_ms, follows: _ } = forgotten;
        let text = serde_json::to_string(state)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        let mut reminding = REMIND.key(&self.keys.gateways);
        reminding.arg(&state.instance).arg(text).arg(silent_ms);
        let reminding = &reminding;
        self.link
            .ask(&self.master, "reminding of a gateway", move |mut connection| async move {
                reminding.invoke_async::<()>(&mut connection).await
            })
            .await
    }

    async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        let must_be_there =
            self.last_announcement.must_be_there(clock::steady(), self.master.epoch());
        let unknown_for_ms = if must_be_there { GATEWAY_FORGOTTEN_AFTER_MS } else { 0 };
        let mut leaving = LEAVE.key(&self.keys.gateways);
        leaving.arg(instance).arg(serde_json::Value::from(instance).to_string());
        leaving.arg(unknown_for_ms);
        let leaving = &leaving;
        self.link
            .ask(&self.master, "leaving", move |mut connection| async move {
                leaving.invoke_async::<()>(&mut connection).await
            })
            .await
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        let mut asking = ROSTER.key(&self.keys.log);
        asking.key(&self.keys.gateways).key(&self.keys.live).arg(GATEWAY_FORGOTTEN_AFTER_MS);
        let asking = &asking;
        let (now_ms, head, records, Pairs(messages)): (u64, u64, u64, Pairs) = self
            .link
            .ask(&self.master, "reading the roster", move |mut connection| async move {
                asking.invoke_async(&mut connection).await
            })
            .await?;
        let mut gateways = Vec::with_capacity(messages.len());
        let mut left = Vec::new();
        let mut incomplete_for_ms = 0;
        for (text, record) in messages {
            let message = serde_json::from_slice(&text);
            let FleetMessage { told_ms, gateway, left: gone, lost_for_ms } =
                message.map_err(|error| {
                    fault::nonsense(&format!("{} holds {error}", self.keys.gateways))
                })?;
            left.extend(gone);
            let silent_ms = now_ms.saturating_sub(told_ms);
            incomplete_for_ms = incomplete_for_ms.max(lost_for_ms.saturating_sub(silent_ms));
            let Some(gateway) = gateway else { continue };
            let position = Position { sequence: gateway.applied, mark: gateway.mark };
            let follows = HeldRecord::from_record(record.as_deref())?.confirms(position);
            gateways.push(KnownGateway { state: gateway, silent_ms, follows });
        }
        gateways.sort_by(|one, other| {
            let order =
                |known: &KnownGateway| (known.state.name.clone(), known.state.instance.clone());
            order(one).cmp(&order(other))
        });
        Ok(Roster { head, records, gateways, left, incomplete_for_ms })
    }
}
