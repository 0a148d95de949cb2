//! The revocation log.

use std::time::Duration;

use async_trait::async_trait;

use super::reader::Reader;
use super::script::{APPEND, PRUNE};
use super::{Redis, snapshot};
use crate::gate::time::UnixTime;
use crate::store::record::{Read, Record};
use crate::store::{
    AppendBounds, AppendError, Listing, PRUNE_MARGIN_S, Position, RevocationLog, StoreError, Tail,
    Writers,
};

/// How many spent records are taken out in one step.
const PRUNED_AT_ONCE: u64 = 5000;

#[async_trait]
impl RevocationLog for Redis {
    fn writers(&self) -> Writers {
        Writers::Gateways
    }

    async fn append(&self, record: &Record, bounds: AppendBounds) -> Result<Position, AppendError> {
        let AppendBounds { entries_max, now } = bounds;
        let mut appending = APPEND.key(&self.keys.log);
        appending.key(&self.keys.live);
        appending.arg(record.encode()).arg(score(record.entry.expires));
        appending.arg(entries_max).arg(score(now)).arg(PRUNE_MARGIN_S);
        let appending = &appending;
        // A record that is appended twice revokes what it revoked once.
        let sequence: i64 = self
            .link
            .ask(&self.master, "appending a record", move |mut connection| async move {
                appending.invoke_async(&mut connection).await
            })
            .await?;
        let sequence = u64::try_from(sequence).map_err(|_| AppendError::Full)?;
        Ok(Position { sequence, mark: Some(record.mark) })
    }

    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError> {
        let live = self.master.connect().await?;
        let Self { keys, master, .. } = self;
        let position = snapshot::take_all(live.clone(), &keys.log, &keys.live, take).await?;
        if master.is_reigning(&live) { Ok(position) } else { Err(live.deposed("a snapshot")) }
    }

    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError> {
        let Self { keys, master, .. } = self;
        let kept = self.reader().take().filter(|reader| reader.is_at(position, master));
        let mut reader = match kept {
            Some(reader) => reader,
            None => match Reader::open(master, &keys.log, position).await? {
                Ok(reader) => reader,
                Err(loss) => return Ok(Tail::Lost(loss)),
            },
        };
        let tail = reader.read(master, &keys.log, patience).await?;
        match &tail {
            Tail::Records(..) => *self.reader() = Some(reader),
            Tail::Lost(_) => {}
        }
        Ok(tail)
    }

    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError> {
        let after = format!("({}", score(now));
        let mut asking = redis::pipe();
        asking.cmd("ZCOUNT").arg(&self.keys.live).arg(&after).arg("+inf");
        asking.cmd("ZRANGEBYSCORE").arg(&self.keys.live).arg(&after).arg("+inf");
        // Signed there, where a negative limit is none.
        let within = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        asking.arg("LIMIT").arg(within(offset)).arg(within(limit));
        let asking = &asking;
        let (total, members): (u64, Vec<Vec<u8>>) = self
            .link
            .ask(&self.master, "listing records", move |mut connection| async move {
                asking.query_async(&mut connection).await
            })
            .await?;
        let mut records = Vec::with_capacity(members.len());
        for member in members {
            match Record::decode(&member)? {
                Read::Revocation(record) => records.push(record),
                Read::Other => {}
            }
        }
        Ok(Listing { records, total })
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut pruning = PRUNE.key(&self.keys.live);
        pruning.arg(score(now)).arg(PRUNE_MARGIN_S).arg(PRUNED_AT_ONCE);
        let pruning = &pruning;
        let mut pruned = 0;
        loop {
            let dropped: u64 = self
                .link
                .ask(&self.master, "dropping spent records", move |mut connection| async move {
                    pruning.invoke_async(&mut connection).await
                })
                .await?;
            pruned += dropped;
            if dropped < PRUNED_AT_ONCE {
                return Ok(pruned);
            }
        }
    }
}

/// A time as a score in a sorted set.
pub(super) fn score(time: UnixTime) -> String {
    if time == UnixTime::NEVER { "+inf".to_owned() } else { time.as_seconds().to_string() }
}
