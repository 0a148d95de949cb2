//! Writes revocations down, and applies them here.

use super::{RevocationFeed, Taken};
use crate::clock;
use crate::config::WhenUnreachable;
use crate::store::account::room_of_accounts;
use crate::store::record::Record;
use crate::store::{AppendBounds, AppendError, Charged, Position, StoreError};

impl RevocationFeed {
    /// Writes a revocation down and applies it here.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; after [`StoreError::Unavailable`] it may have been written all the same.
    pub async fn append(&self, record: Record) -> Result<Taken, AppendError> {
        let unreachable = self.configuration.load().settings.revocation.unreachable;
        let appended = self.append_durably(&record).await;
        let mut record = record;
        let taken = match (appended, unreachable) {
            (Ok(position), _) => Taken::Durable(position.sequence),
            (
                Err(AppendError::Store(StoreError::Unavailable(why) | StoreError::Refused(why))),
                WhenUnreachable::AcceptLocally,
            ) => {
                // Its session is deleted when it is delivered, and can be alive until then.
                record.entry.expires = record.entry.expires.max(record.forgotten_at());
                self.pending.push(record.clone()).map_err(|_| StoreError::Unavailable(why))?;
                self.metrics.pending.set(self.pending.len());
                Taken::Locally
            }
            (Err(error), _) => return Err(error),
        };
        // Not only when the log tells of it: who was told that it is written finds it in force.
        self.enforce(&record);
        Ok(taken)
    }

    /// Appends a record to the log, on its account if it has an owner, and remembers it.
    pub(super) async fn append_durably(&self, record: &Record) -> Result<Position, AppendError> {
        let configuration = self.configuration.load();
        let entries_max = configuration.settings.revocation.entries_max;
        let bounds = AppendBounds {
            // A record with an account leaves operators their room where it is charged.
            entries_max: match record.is_for_nobody {
                true => room_of_accounts(entries_max),
                false => entries_max,
            },
            now: clock::now(),
            login_issuer: configuration.settings.login.as_ref().map(|login| &*login.issuer),
        };
        if record.owner.is_none() {
            let position = self.timed("append", self.log.append(record, bounds)).await?;
            self.recent().wrote(record.clone(), clock::steady());
            return Ok(position);
        }
        let charging = self.log.charge(record, bounds);
        let charged = self.timed("append", charging).await?;
        let position = charged.position;
        self.remember(record, charged);
        Ok(position)
    }

    /// Applies what the store wrote for `record` in the same step as something else; its place in the log.
    pub fn wrote(&self, record: &Record, charged: Charged) -> Taken {
        let position = charged.position;
        self.remember(record, charged);
        self.writer().apply(&record.entry, clock::now());
        Taken::Durable(position.sequence)
    }

    /// Remembers what was written for a record.
    pub(super) fn remember(&self, record: &Record, charged: Charged) {
        let Charged { written, position: _ } = charged;
        let mut recent = self.recent();
        recent.stands_for(record, &written);
        for record in written {
            // The merged entry hits other credentials, too.
            self.enforce(&record);
            recent.wrote(record, clock::steady());
        }
    }
}
