//! Lifts revocations, which are found by their expiry.

use std::collections::BTreeSet;

use super::dial::ANSWER_TIMEOUT;
use super::reply::{Flag, ReplyList};
use super::score::score;
use super::script::LIFT;
use super::{Redis, fault};
use crate::clock;
use crate::gate::revocation::{Lifted, RevocationId};
use crate::gate::time::UnixTime;
use crate::store::record::{Read, Record};
use crate::store::{LiftPremise, PRUNE_MARGIN_S, Position, StoreError};

/// How many records are read in one step.
const LOOKED_AT_ONCE: usize = 2000;

/// A live record: its text in the store, and the parsed record.
struct Member {
    text: Vec<u8>,
    record: Record,
}

/// The script's answer if there is nothing to lift.
const NONE_IS_LIVE: i64 = -1;

impl Redis {
    /// The live revocations with these ids; one may have been written more than once.
    pub(super) async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError> {
        let members = self.members(sought).await?;
        Ok(members.into_iter().map(|member| member.record).collect())
    }

    /// Appends a lift; `None` if the premise is that a revocation is live and none is.
    pub(super) async fn append_lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError> {
        let members = self.members(&lift.lifts).await?;
        let mut lifting = LIFT.key(&self.keys.log);
        lifting.key(&self.keys.live).key(&self.keys.lifted);
        lifting.arg(lift.encode()).arg(score(lift.entry.expires));
        match premise {
            LiftPremise::IsLive => {
                lifting.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default()).arg(1);
            }
            LiftPremise::WasWritten => {
                lifting.arg("").arg(0);
            }
        }
        lifting.arg(score(now)).arg(PRUNE_MARGIN_S).arg(lift.lifts.len());
        for Lifted { id, .. } in &lift.lifts {
            lifting.arg(id.to_string());
        }
        for Member { text, .. } in &members {
            lifting.arg(text);
        }
        let lifting = &lifting;
        let ((sequence, Flag(is_last)), link): ((i64, Flag), _) = self
            .link
            .ask_and_tell(&self.master, "lifting a revocation", move |mut connection| async move {
                lifting.invoke_async(&mut connection).await
            })
            .await?;
        match (sequence, u64::try_from(sequence)) {
            (NONE_IS_LIVE, _) => Ok(None),
            (_, Err(_)) => Err(fault::nonsense("what came of a lift")),
            // It was carried out before. Its position is not known, but is not after this one.
            (_, Ok(sequence)) if !is_last => Ok(Some(Position { sequence, mark: None })),
            (_, Ok(sequence)) => {
                let position = Position { sequence, mark: Some(lift.mark) };
                self.head.moved_to(&link, position);
                Ok(Some(position))
            }
        }
    }

    async fn members(&self, sought: &[Lifted]) -> Result<Vec<Member>, StoreError> {
        let ids: BTreeSet<RevocationId> = sought.iter().map(|one| one.id).collect();
        let scores: BTreeSet<String> = sought.iter().map(|one| score(one.expires)).collect();
        let mut found = Vec::new();
        for score in scores {
            let mut offset = 0;
            loop {
                let page = self.page(&score, offset).await?;
                let is_last = page.len() < LOOKED_AT_ONCE;
                for text in page {
                    if let Read::Record(record) = Record::decode(&text)?
                        && record.liftable_id().is_some_and(|id| ids.contains(&id))
                    {
                        found.push(Member { text, record });
                    }
                }
                if is_last {
                    break;
                }
                offset += LOOKED_AT_ONCE;
            }
        }
        Ok(found)
    }

    /// Some of the live records with this expiry.
    async fn page(&self, score: &str, offset: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut asking = redis::cmd("ZRANGEBYSCORE");
        asking.arg(&self.keys.live).arg(score).arg(score);
        asking.arg("LIMIT").arg(offset).arg(LOOKED_AT_ONCE);
        let asking = &asking;
        let ReplyList(members) = self
            .link
            .ask(&self.master, "looking for revocations", move |mut connection| async move {
                asking.query_async(&mut connection).await
            })
            .await?;
        Ok(members)
    }
}
