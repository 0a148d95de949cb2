//! Keeps families of refresh tokens in Redis.

use async_trait::async_trait;

use super::account_arguments::{self, AccountArguments};
use super::keys::EXPIRY_MAX_S;
use super::reply::{Flag, ReplyList};
use super::script::families::{BEGIN, ROTATE};
use super::{Redis, fault};
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;
use crate::store::family::{
    EARLIER_MAX, EXCHANGE_WITHIN_MS, Exchange, FAMILY_MARGIN_S, Family, FamilyStore, Premise,
    Rotation, StoredFamily, Successor, TokenDigest, VERSION, decode, encode, unused_ms,
};
use crate::store::{Charged, StoreError};

#[async_trait]
impl FamilyStore for Redis {
    async fn begin(&self, family: &Family, first: TokenDigest) -> Result<bool, StoreError> {
        let Family { session, created, ends, idle_s, .. } = family;
        let mut beginning = BEGIN.key(self.keys.family_of(*session));
        beginning.key(self.keys.record_of(*session));
        beginning.arg(encode(family)).arg(first.to_string()).arg(created.as_seconds());
        beginning.arg(ends.as_seconds()).arg(*idle_s).arg(FAMILY_MARGIN_S).arg(EXPIRY_MAX_S);
        let beginning = &beginning;
        let Flag(is_session_there) = self
            .link
            .ask(&self.master, "writing a family down", move |mut connection| async move {
                beginning.invoke_async(&mut connection).await
            })
            .await?;
        Ok(is_session_there)
    }

    async fn find(&self, id: SessionId) -> Result<Option<StoredFamily>, StoreError> {
        self.await_complete().await?;
        let key = self.keys.family_of(id);
        let asking = &key;
        let (((seconds, micros), fields), live): (((u64, u64), [Option<Vec<u8>>; 4]), _) = self
            .link
            .ask_and_tell(&self.master, "reading a family", move |mut connection| async move {
                // The time first: the data that is read is not older than that.
                let mut reading = redis::pipe();
                reading.cmd("TIME").cmd("HMGET").arg(asking);
                reading.arg("record").arg("current").arg("used").arg("dead");
                reading.query_async(&mut connection).await
            })
            .await?;
        self.was_complete(&live)?;
        let [record, current, used, dead] = fields;
        let read_ms = seconds.saturating_mul(1000).saturating_add(micros / 1000);
        if record.is_none() && current.is_none() {
            return Ok(None);
        }
        let family = decode(id, &record.unwrap_or_default())?;
        let current = text(current.as_deref()).and_then(TokenDigest::parse);
        let used = text(used.as_deref()).and_then(|used| used.parse().ok());
        match (current, used.map(UnixTime::from_seconds)) {
            (Some(current), Some(used)) => {
                let is_dead = dead.is_some();
                Ok(Some(StoredFamily { family, current, used, is_dead, read_ms }))
            }
            (None, _) | (_, None) => Err(unreadable()),
        }
    }

    async fn rotate(&self, exchange: &Exchange) -> Result<Rotation, StoreError> {
        self.await_complete().await?;
        let Exchange { family: id, presented, successor, grace_ms, now, premise, end } = exchange;
        let Successor { digest, sealed } = successor;
        let Premise { current, read_ms, waited_ms } = premise;
        let mut rotating = ROTATE.key(self.keys.family_of(*id));
        rotating.key(self.keys.record_of(*id)).key(&self.keys.sessions);
        rotating.arg(presented.to_string()).arg(digest.to_string()).arg(sealed);
        rotating.arg(*grace_ms).arg(now.as_seconds()).arg(VERSION).arg(id.to_string());
        rotating.arg(FAMILY_MARGIN_S).arg(EXPIRY_MAX_S);
        rotating.arg(current.to_string()).arg(*read_ms).arg(*waited_ms);
        rotating.arg(EXCHANGE_WITHIN_MS).arg(unused_ms(*grace_ms)).arg(EARLIER_MAX);
        let arguments =
            end.as_ref().and_then(|end| Some((AccountArguments::of(&end.record)?, end)));
        if let Some((arguments, end)) = arguments {
            arguments.add_to(&mut rotating, &self.keys, end.entries_max, end.now);
        }
        let rotating = &rotating;
        let ((outcome, values, sequence), link): ((String, Vec<Vec<u8>>, i64), _) = self
            .link
            .ask_and_tell(&self.master, "exchanging a token", move |mut connection| async move {
                rotating.invoke_async(&mut connection).await
            })
            .await?;
        self.was_complete(&link)?;
        match outcome.as_str() {
            "rotated" => Ok(Rotation::Rotated),
            "replayed" if !values.is_empty() => Ok(Rotation::Replayed(values)),
            "changed" => Ok(Rotation::Changed),
            "too late" => Ok(Rotation::TooLate),
            "reused" => Ok(Rotation::Reused),
            "ended" => {
                let charged = account_arguments::charged((sequence, ReplyList(values)))?;
                if let Some(Charged { position, .. }) = &charged {
                    self.head.moved_to(&link, *position);
                }
                Ok(Rotation::Ended(charged))
            }
            "expired" => Ok(Rotation::Expired),
            "absent" => Ok(Rotation::Absent),
            "unreadable" => {
                decode(*id, values.first().map(Vec::as_slice).unwrap_or_default())?;
                Err(unreadable())
            }
            _ => Err(fault::nonsense("what came of an exchange")),
        }
    }
}

fn text(field: Option<&[u8]>) -> Option<&str> {
    field.and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// The error for a family whose record is readable but whose tokens are missing.
fn unreadable() -> StoreError {
    fault::nonsense("a family of refresh tokens without its tokens")
}
