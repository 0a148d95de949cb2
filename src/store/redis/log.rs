//! Reads and writes the revocation log in Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::account_arguments::{self, AccountArguments};
use super::dial::ANSWER_TIMEOUT;
use super::head::HeadComparison;
use super::reader::LogReader;
use super::reply::{HeldRecord, ReplyList};
use super::score::score;
use super::script::account::CHARGE;
use super::script::{APPEND, PRUNE};
use super::{Redis, snapshot};
use crate::clock;
use crate::gate::revocation::Lifted;
use crate::gate::time::UnixTime;
use crate::store::digest::SubjectDigest;
use crate::store::record::{Read, Record};
use crate::store::session::EndedSessions;
use crate::store::{
    AppendBounds, AppendError, Charged, LiftPremise, Listing, PRUNE_MARGIN_S, Position,
    RevocationLog, StoreError, Tail, Writers,
};

/// The script's answer for a record that was lifted.
const LIFTED: i64 = -2;

/// How many spent records are removed in one step.
const PRUNED_AT_ONCE: u64 = 5000;

#[async_trait]
impl RevocationLog for Redis {
    fn writers(&self) -> Writers {
        Writers::Gateways
    }

    async fn append(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Position, AppendError> {
        let AppendBounds { entries_max, now, login_issuer } = bounds;
        let (subject, session, until) = match EndedSessions::of(&record.entry, login_issuer) {
            EndedSessions::None => (None, None, None),
            EndedSessions::One(id) => (self.owner_of(id).await?, Some(id), None),
            EndedSessions::Until(subject, cut_off) => (Some(subject), None, Some(cut_off)),
        };
        let subject = subject.unwrap_or_else(SubjectDigest::of_nobody);
        let mut appending = APPEND.key(&self.keys.log);
        appending.key(&self.keys.live).key(&self.keys.sessions).key(&self.keys.due);
        appending.key(self.keys.sessions_of(&subject)).key(&self.keys.lifted);
        appending.arg(record.encode()).arg(score(record.entry.expires));
        appending.arg(entries_max).arg(score(now)).arg(PRUNE_MARGIN_S);
        appending.arg(subject.to_string()).arg(&self.keys.session).arg(&self.keys.family);
        appending.arg(session.map(|id| id.to_string()).unwrap_or_default());
        appending.arg(until.map(score).unwrap_or_default());
        appending.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        appending.arg(record.liftable_id().map(|id| id.to_string()).unwrap_or_default());
        let appending = &appending;
        // A record that is appended twice revokes the same as once.
        let (sequence, link): (i64, _) = self
            .link
            .ask_and_tell(&self.master, "appending a record", move |mut connection| async move {
                appending.invoke_async(&mut connection).await
            })
            .await?;
        let sequence = u64::try_from(sequence).map_err(|_| match sequence {
            LIFTED => AppendError::Lifted,
            _ => AppendError::Full,
        })?;
        let position = Position { sequence, mark: Some(record.mark) };
        self.head.moved_to(&link, position);
        Ok(position)
    }

    async fn charge(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Charged, AppendError> {
        let AppendBounds { entries_max, now, login_issuer: _ } = bounds;
        let Some(arguments) = AccountArguments::of(record) else {
            let position = self.append(record, bounds).await?;
            return Ok(Charged { written: vec![record.clone()], position });
        };
        let mut charging = CHARGE.prepare_invoke();
        arguments.add_to(&mut charging, &self.keys, entries_max, now);
        charging.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        let charging = &charging;
        // A record that is written twice is soon merged with itself.
        let (written, link) = self
            .link
            .ask_and_tell(
                &self.master,
                "appending a record of an account",
                move |mut connection| async move { charging.invoke_async(&mut connection).await },
            )
            .await?;
        let charged = account_arguments::charged(written)?.ok_or(AppendError::Full)?;
        self.head.moved_to(&link, charged.position);
        Ok(charged)
    }

    async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError> {
        self.find_liftable(sought).await
    }

    async fn lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError> {
        self.append_lift(lift, premise, now).await
    }

    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError> {
        let live = self.master.connect().await?;
        let Self { keys, master, head, .. } = self;
        let known = head.known_to(&live);
        let position = snapshot::take_all(live.clone(), &keys.log, &keys.live, take).await?;
        if !master.is_current(&live) {
            return Err(live.deposed("a snapshot"));
        }
        let sight = known.map_or(HeadComparison::Same, |head| {
            let is_there = position.sequence == head.sequence && position.mark.is_some();
            let held =
                if is_there { HeldRecord::Entry(position.mark) } else { HeldRecord::Nothing };
            HeadComparison::of(head, position.sequence, held)
        });
        sight.fault().map_or(Ok(position), |fault| {
            master.begin_epoch_after(&live);
            Err(live.apart("a snapshot", fault))
        })
    }

    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError> {
        let Self { keys, master, head, .. } = self;
        let kept = self.reader().take().filter(|reader| reader.is_at(position, master));
        let opened = match kept {
            Some(reader) => Ok(reader),
            None => LogReader::open(master, &keys.log, position).await?,
        };
        let tail = match opened {
            Ok(mut reader) => {
                let tail = reader.read(master, head, &keys.log, patience).await?;
                if let Tail::Records(..) = &tail {
                    *self.reader() = Some(reader);
                }
                tail
            }
            Err(loss) => Tail::Lost(loss),
        };
        if let Tail::Lost(_) = &tail {
            // It was the head of a log that has been replaced.
            head.forget();
        }
        Ok(tail)
    }

    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError> {
        let after = format!("({}", score(now));
        let mut asking = redis::pipe();
        asking.cmd("ZCOUNT").arg(&self.keys.live).arg(&after).arg("+inf");
        asking.cmd("ZRANGEBYSCORE").arg(&self.keys.live).arg(&after).arg("+inf");
        // Redis parses them as signed numbers, and takes a negative limit for none.
        let within = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        asking.arg("LIMIT").arg(within(offset)).arg(within(limit));
        let asking = &asking;
        let (total, ReplyList(members)): (u64, ReplyList<Vec<u8>>) = self
            .link
            .ask(&self.master, "listing records", move |mut connection| async move {
                asking.query_async(&mut connection).await
            })
            .await?;
        let mut records = Vec::with_capacity(members.len());
        for member in members {
            match Record::decode(&member)? {
                Read::Record(record) => records.push(record),
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
