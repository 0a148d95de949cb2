//! Reads all live records, as fast as they arrive.
//!
//! Reads by rank and not with `ZSCAN`, which costs the server four times as much. Ranks shift when
//! records come and go, so each page begins with the last record of the one before.

use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::fault;
use super::master::Live;
use super::reply::{Flag, ReplyList};
use super::script::{LAST, PLACE};
use crate::clock;
use crate::store::record::{Read, Record};
use crate::store::{Position, StoreError};

/// How many records a page has besides the one that it begins with.
const PAGE: usize = 2000;

/// How long a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The part of a snapshot that was passed on.
struct HandedOn<'t> {
    take: &'t mut (dyn FnMut(Vec<Record>) + Send),
    /// How many records.
    records: usize,
    /// The last record of the log, until it has been passed on.
    sought: Option<Record>,
}

impl HandedOn<'_> {
    fn add(&mut self, records: Vec<Record>) {
        self.sought.take_if(|last| records.iter().any(|record| record.mark == last.mark));
        self.records += records.len();
        (self.take)(records);
    }

    /// Whether the last record of the log is not spent, and was not passed on.
    fn lacks_last(&self) -> bool {
        self.sought.as_ref().is_some_and(|last| !last.entry.is_spent(clock::now()))
    }
}

/// Passes on every record of the sorted set, and returns a position of the log that the records
/// reach at least.
pub(super) async fn take_all(
    mut live: Live,
    log: &str,
    set: &str,
    take: &mut (dyn FnMut(Vec<Record>) + Send),
) -> Result<Position, StoreError> {
    live.connection.set_response_timeout(PAGE_TIMEOUT);
    let failed = |error| fault::at(&live.address, "taking a snapshot", &error);
    let (sequence, last) = head(live.connection.clone(), log).await.map_err(failed)?;
    let sought = match last.as_deref().map(Record::decode).transpose()? {
        Some(Read::Record(record)) => Some(record),
        Some(Read::Other) | None => None,
    };
    let mark = sought.as_ref().map(|record| record.mark);
    let mut handed_on = HandedOn { take, records: 0, sought };

    let mut rank = 0;
    let mut known: Option<Value> = None;
    let mut page = members(live.connection.clone(), set, rank).await.map_err(failed)?;
    loop {
        let Some(fresh) = after(known.as_ref(), &page) else {
            // The last known record is not at its rank. If it is nowhere, it was spent, and so were
            // all records before it: the beginning is near.
            let found =
                place(live.connection.clone(), set, known.as_ref()).await.map_err(failed)?;
            rank = found.unwrap_or(0);
            known = known.filter(|_| found.is_some());
            page = members(live.connection.clone(), set, rank).await.map_err(failed)?;
            continue;
        };
        if page.len() <= PAGE {
            handed_on.add(decode(fresh)?);
            if let (true, Some(last)) = (handed_on.lacks_last(), last) {
                require_merged(&live, log, set, handed_on.records, &last).await?;
            }
            return Ok(Position { sequence, mark });
        }
        rank += PAGE;
        // The next page is requested before this one is decoded.
        let (next, decoded) = tokio::join!(members(live.connection.clone(), set, rank), async {
            // Yields once: the request is sent by a task behind this one in the queue.
            tokio::task::yield_now().await;
            decode(fresh)
        });
        handed_on.add(decoded?);
        known = page.pop();
        page = next.map_err(failed)?;
    }
}

/// How many records were ever appended to the log, and the text of the last of them.
async fn head(
    mut connection: MultiplexedConnection,
    log: &str,
) -> redis::RedisResult<(u64, Option<Vec<u8>>)> {
    let mut asking = PLACE.key(log);
    asking.arg("");
    asking.invoke_async(&mut connection).await
}

/// Decides about a snapshot of so many records that lacks the last record of the log. That record
/// may only have been merged during the reading, with others that were in the snapshot.
async fn require_merged(
    live: &Live,
    log: &str,
    set: &str,
    records: usize,
    last: &[u8],
) -> Result<(), StoreError> {
    let loss = match records {
        0 => Some("the server gave it none of its records"),
        _ => {
            let finding = find_loss(live.connection.clone(), log, set, last).await;
            finding.map_err(|error| fault::at(&live.address, "taking a snapshot", &error))?
        }
    };
    match loss {
        Some(why) => Err(StoreError::Unreadable(format!(
            "Redis at {}: the snapshot of the revocation log lacks what it must hold: {why}",
            live.address
        ))),
        None => Ok(()),
    }
}

/// Why a snapshot is unusable that lacks `sought`, the last record of the log when the snapshot
/// began. `None` if that record has been merged with others meanwhile: then the log has another
/// last record, which is in the snapshot set. So a user who logs out everywhere all the time cannot
/// keep a gateway from starting.
async fn find_loss(
    mut connection: MultiplexedConnection,
    log: &str,
    set: &str,
    sought: &[u8],
) -> redis::RedisResult<Option<&'static str>> {
    let mut asking = LAST.key(log);
    asking.key(set).arg(sought);
    let (last, Flag(is_there), Flag(is_sought_there)): (Option<Vec<u8>>, Flag, Flag) =
        asking.invoke_async(&mut connection).await?;
    if is_sought_there {
        return Ok(Some("the server gave it too few records"));
    }
    // A server that evicts keys evicts those that are seldom read, such as this one.
    let is_lost = match last.as_deref().map(Record::decode) {
        Some(Ok(Read::Record(last))) => !is_there && !last.entry.is_spent(clock::now()),
        // An unreadable record could revoke any user's credentials.
        Some(Ok(Read::Other)) | None => false,
        Some(Err(_)) => !is_there,
    };
    Ok(is_lost.then_some("the log goes on, and it was lost; is maxmemory-policy noeviction?"))
}

/// A page of the sorted set, from this rank.
async fn members(
    mut connection: MultiplexedConnection,
    set: &str,
    rank: usize,
) -> redis::RedisResult<Vec<Value>> {
    let mut asking = redis::cmd("ZRANGE");
    asking.arg(set).arg(rank).arg(rank + PAGE);
    let ReplyList(members) = asking.query_async(&mut connection).await?;
    Ok(members)
}

/// The rank of a member, if it is there.
async fn place(
    mut connection: MultiplexedConnection,
    set: &str,
    member: Option<&Value>,
) -> redis::RedisResult<Option<usize>> {
    let Some(Value::BulkString(member)) = member else { return Ok(None) };
    redis::cmd("ZRANK").arg(set).arg(member).query_async(&mut connection).await
}

/// The members of a page after the known one; `None` if the page does not have it. It is the first,
/// unless others have come before it.
fn after<'p>(known: Option<&Value>, page: &'p [Value]) -> Option<&'p [Value]> {
    let Some(known) = known else { return Some(page) };
    let place = page.iter().position(|member| member == known)?;
    page.get(place + 1..)
}

fn decode(members: &[Value]) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::with_capacity(members.len());
    for member in members {
        let Value::BulkString(record) = member else {
            return Err(fault::nonsense("a member of a sorted set"));
        };
        match Record::decode(record)? {
            Read::Record(record) => records.push(record),
            Read::Other => {}
        }
    }
    Ok(records)
}
