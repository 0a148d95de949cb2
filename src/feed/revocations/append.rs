//! Writes revocations to the log, and applies them at this gateway.

use super::{RevocationFeed, Taken};
use crate::clock;
use crate::config::WhenUnreachable;
use crate::store::account::room_of_accounts;
use crate::store::record::Record;
use crate::store::{AppendBounds, AppendError, Charged, Position, StoreError};

impl RevocationFeed {
    /// Writes a revocation to the log and applies it at this gateway.
    ///
    /// # Errors
    ///
    /// [`AppendError`]. After [`StoreError::Unavailable`] the revocation may have been written
    /// anyway.
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
                // The session is only deleted on delivery, and may be alive until then.
                record.entry.expires = record.entry.expires.max(record.forgotten_at());
                self.pending.push(record.clone()).map_err(|_| StoreError::Unavailable(why))?;
                self.metrics.pending.set(self.pending.len());
                Taken::Locally
            }
            (Err(error), _) => return Err(error),
        };
        // Applied at once, not only when the log returns it: after the success response, the
        // revocation is in force.
        self.enforce(&record);
        Ok(taken)
    }

    /// Appends a record to the log and remembers it. If it has an owner, it is charged to their
    /// account.
    pub(super) async fn append_durably(&self, record: &Record) -> Result<Position, AppendError> {
        let configuration = self.configuration.load();
        let entries_max = configuration.settings.revocation.entries_max;
        let bounds = AppendBounds {
            // A record charged to an account leaves the room that is reserved for operators.
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

    /// Applies what the store wrote for `record` in the same step as something else. Returns its
    /// position in the log.
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
            // The merged entry also matches other credentials.
            self.enforce(&record);
            recent.wrote(record, clock::steady());
        }
    }
}
