//! Follows the log, on a connection of its own because reading it blocks.

use std::time::Duration;

use redis::Value;

use super::fault;
use super::head::{HeadComparison, LogHead};
use super::identity::Role;
use super::master::{Live, Master};
use super::reply::{HeldRecord, StreamEntry, entries_in, entries_read};
use super::script::PLACE;
use crate::store::record::{Read, Record};
use crate::store::{Loss, Position, StoreError, TAIL_RECORDS_MAX, Tail};

/// How long after the end of its blocking a server may take to answer.
const BLOCK_MARGIN: Duration = Duration::from_secs(1);

/// A connection, and how far the log was read on it.
pub(super) struct LogReader {
    live: Live,
    at: Position,
}

impl LogReader {
    /// Connects, and verifies that the log continues from the position.
    pub(super) async fn open(
        master: &Master,
        log: &str,
        at: Position,
    ) -> Result<Result<Self, Loss>, StoreError> {
        let mut live = master.connect().await?;
        let (head, held) = look_up(&mut live, log, at).await?;
        Ok(match held.loss(at, head) {
            Some(loss) => Err(loss),
            None => Ok(Self { live, at }),
        })
    }

    /// Whether it can continue from this position.
    pub(super) fn is_at(&self, position: Position, master: &Master) -> bool {
        self.at == position && master.is_current(&self.live)
    }

    /// Waits for the next records. After an error, or when the log is lost, the reader is of no
    /// more use.
    pub(super) async fn read(
        &mut self,
        master: &Master,
        head: &LogHead,
        log: &str,
        patience: Duration,
    ) -> Result<Tail, StoreError> {
        let head = head.known_to(&self.live);
        let ReadAnswer { entries, here, there, role } = self.ask(log, patience, head).await?;
        if role == Role::Replica {
            master.begin_epoch_after(&self.live);
            return Err(self.live.apart("reading the log", fault::REPLICA));
        }
        if !here.confirms(self.at) {
            let (end, held) = look_up(&mut self.live, log, self.at).await?;
            if let Some(loss) = held.loss(self.at, end) {
                return Ok(Tail::Lost(loss));
            }
        }
        if let Some(head) = head
            && let Some(loss) = self.measure(head, &entries, there, master, log).await?
        {
            return Ok(Tail::Lost(loss));
        }
        // What a deposed master says is not news, and neither is its silence.
        if !master.is_current(&self.live) {
            return Err(self.live.deposed("reading the log"));
        }
        Ok(match follow(self.at, entries)? {
            Ok((records, position)) => {
                self.at = position;
                Tail::Records(records, position)
            }
            Err(loss) => Tail::Lost(loss),
        })
    }

    /// Verifies that the log is the one that is written to: it must reach the head that was known
    /// before the read, and have the same record there.
    async fn measure(
        &mut self,
        head: Position,
        entries: &[StreamEntry],
        there: HeldRecord,
        master: &Master,
        log: &str,
    ) -> Result<Option<Loss>, StoreError> {
        let last = entries.last().and_then(|entry| entry.sequence);
        let mut end = last.unwrap_or(self.at.sequence);
        let has_more = entries.len() as u64 >= TAIL_RECORDS_MAX;
        if end < head.sequence && !has_more {
            (end, _) = look_up(&mut self.live, log, self.at).await?;
            if end >= head.sequence {
                // The log no longer holds the record of that position.
                return Ok(Some(Loss::Trimmed));
            }
        }
        let sight =
            HeadComparison::of(head, if has_more { end.max(head.sequence) } else { end }, there);
        match sight.fault() {
            None => Ok(None),
            Some(fault) => {
                master.begin_epoch_after(&self.live);
                Err(self.live.apart("reading the log", fault))
            }
        }
    }

    /// Waits for entries and, in the same pipeline, reads the records at the position before them
    /// and at the known head. These are read last: that detects a log that was emptied and refilled
    /// during the wait, before any entry is used.
    async fn ask(
        &mut self,
        log: &str,
        patience: Duration,
        head: Option<Position>,
    ) -> Result<ReadAnswer, StoreError> {
        let id = |sequence: u64| format!("{sequence}-0");
        let at = id(self.at.sequence);
        // 0 would block for ever.
        let block_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut asking = redis::pipe();
        // If the server has an identity, that shows whether the address leads to another server.
        let hides = self.live.identity.is_none();
        if hides {
            asking.cmd("HELLO");
        }
        asking.cmd("XREAD").arg("BLOCK").arg(block_ms).arg("COUNT").arg(TAIL_RECORDS_MAX);
        asking.arg("STREAMS").arg(log).arg(&at);
        for place in [at, id(head.unwrap_or(self.at).sequence)] {
            asking.cmd("XRANGE").arg(log).arg(&place).arg(&place);
        }
        self.live.connection.set_response_timeout(patience.saturating_add(BLOCK_MARGIN));
        let answers = asking.query_async::<Vec<Value>>(&mut self.live.connection).await;
        let answers =
            answers.map_err(|error| fault::at(&self.live.address, "reading the log", &error))?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let role = if hides { Role::from_hello(&next()) } else { Role::Other };
        let (read, here, there) = (next(), next(), next());
        let (entries, here) = (entries_read(read)?, held(here)?);
        // An unreadable record could be any record.
        let there = held(there).unwrap_or(HeldRecord::Nothing);
        Ok(ReadAnswer { entries, here, there, role })
    }
}

/// The answer to one read.
struct ReadAnswer {
    entries: Vec<StreamEntry>,
    /// The record at the position that the entries follow.
    here: HeldRecord,
    /// The record at the head's position.
    there: HeldRecord,
    /// The role of the server, for servers without an identity.
    role: Role,
}

fn held(answer: Value) -> Result<HeldRecord, StoreError> {
    let entry = entries_in(answer)?.into_iter().next();
    HeldRecord::from_record(entry.as_ref().map(|entry| &*entry.record))
}

/// How many records were ever appended, and the record at the position.
pub(super) async fn look_up(
    live: &mut Live,
    log: &str,
    position: Position,
) -> Result<(u64, HeldRecord), StoreError> {
    let mut asking = PLACE.key(log);
    asking.arg(position.sequence);
    let place = asking.invoke_async::<(u64, Option<Vec<u8>>)>(&mut live.connection).await;
    let (head, record) =
        place.map_err(|error| fault::at(&live.address, "looking up a position", &error))?;
    Ok((head, HeldRecord::from_record(record.as_deref())?))
}

/// Decodes the entries after a position. If one cannot be read, the records before it are returned
/// first.
fn follow(
    from: Position,
    entries: Vec<StreamEntry>,
) -> Result<Result<(Vec<Record>, Position), Loss>, StoreError> {
    let mut at = from;
    let mut records = Vec::with_capacity(entries.len());
    for StreamEntry { sequence, record } in entries {
        let next = at.sequence.saturating_add(1);
        if sequence != Some(next) {
            return Ok(Err(Loss::Trimmed));
        }
        let mark = match Record::decode(&record) {
            Ok(Read::Record(record)) => {
                let mark = record.mark;
                records.push(record);
                Some(mark)
            }
            Ok(Read::Other) => None,
            Err(_) if at != from => return Ok(Ok((records, at))),
            Err(error) => return Err(StoreError::Unreadable(format!("{error} (number {next})"))),
        };
        at = Position { sequence: next, mark };
    }
    Ok(Ok((records, at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, record: &str) -> StreamEntry {
        StreamEntry { sequence: Some(sequence), record: record.into() }
    }

    const EVERYTHING: &str = r#"{"kind":"revocation","scope":"everything","mark":9}"#;
    const FROM: Position = Position { sequence: 4, mark: Some(1) };

    #[test]
    fn what_a_newer_gateway_wrote_is_passed_over() {
        let entries = vec![entry(5, EVERYTHING), entry(6, r#"{"kind":"invalidate"}"#)];
        let (records, at) = follow(FROM, entries).expect("it reads").expect("it goes on");
        assert_eq!((records.len(), at), (1, Position { sequence: 6, mark: None }));
    }

    #[test]
    fn gap_is_a_loss() {
        let entries = || vec![entry(5, EVERYTHING), entry(7, EVERYTHING)];
        assert_eq!(follow(FROM, entries()).expect("it reads"), Err(Loss::Trimmed));
        let foreign = vec![StreamEntry { sequence: None, record: EVERYTHING.into() }];
        assert_eq!(follow(FROM, foreign).expect("it reads"), Err(Loss::Trimmed));
    }

    #[test]
    fn what_came_before_an_unreadable_record_is_told_first() {
        let entries = vec![entry(5, EVERYTHING), entry(6, r#"{"kind":"revocation"}"#)];
        let (records, at) = follow(FROM, entries).expect("it reads").expect("it goes on");
        assert_eq!((records.len(), at), (1, Position { sequence: 5, mark: Some(9) }));
        let error = follow(at, vec![entry(6, "{}")]).expect_err("it does not read");
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
    }
}
