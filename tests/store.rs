//! What outlives a gateway, driven through the seam that the gateway uses.

/// Claims that hold for both stores: `claim(&store)`, or `claim(Arc::new(store))` if they are said to be shared.
macro_rules! of_both_stores {
    (shared: $($claim:ident)*) => {
        of_both_stores! { store => std::sync::Arc::new(store); $($claim)* }
    };
    ($store:ident => $given:expr; $($claim:ident)*) => {
        mod of_the_file {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                let (_directory, path) = crate::store::sessions::place();
                let $store = crate::store::sessions::in_file(&path);
                super::$claim($given).await;
            })*
        }

        mod of_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                let server = crate::harness::redis::RedisServer::start();
                let $store = crate::store::sessions::in_redis(&server);
                super::$claim($given).await;
            })*
        }
    };
    ($($claim:ident)*) => {
        of_both_stores! { store => &store; $($claim)* }
    };
}

mod accounts;
mod api_keys;
mod attempts;
mod embedded;
mod families;
mod keyring;
mod lifts;
mod model;
mod redis;
mod sessions;

use std::time::Duration;

use portcullis::clock;
use portcullis::gate::revocation::{Entry, Scope};
use portcullis::gate::time::UnixTime;
use portcullis::store::record::Record;
use portcullis::store::{
    AppendBounds, GatewayState, Loss, Position, RevocationLog, StoreError, Tail,
};

/// How long a tail waits where something is sure to come, or where it is to be seen that it waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a tail waits where nothing is to come.
const IMPATIENCE: Duration = Duration::from_millis(20);

/// A record about a session, which expires in an hour.
fn record(session: &str) -> Record {
    record_until(session, clock::now().plus(3600))
}

/// The same, with another time of expiry.
fn record_until(session: &str, expires: UnixTime) -> Record {
    Record {
        entry: Entry { scope: Scope::Session(session.into()), cut_off: clock::now(), expires },
        written_us: clock::micros(),
        actor: "tests".into(),
        reason: "because \"quotes\", ümläute and\nlines".into(),
        owner: None,
        mark: fastrand::u64(..),
        is_for_nobody: false,
        lifts: [].into(),
    }
}

/// Room enough.
fn bounds() -> AppendBounds<'static> {
    AppendBounds { entries_max: 1000, now: clock::now(), login_issuer: None }
}

/// Appends records about these sessions.
async fn append(log: &dyn RevocationLog, sessions: &[&str]) -> Vec<Record> {
    let mut appended = Vec::new();
    for session in sessions {
        let record = record(session);
        log.append(&record, bounds()).await.expect("it is appended");
        appended.push(record);
    }
    appended
}

/// All live records, and where the log goes on.
async fn snapshot(log: &dyn RevocationLog) -> Result<(Vec<Record>, Position), StoreError> {
    let mut taken = Vec::new();
    let position = log.snapshot(&mut |records| taken.extend(records)).await?;
    Ok((taken, position))
}

/// What comes next, and the position after it.
async fn read(log: &dyn RevocationLog, from: Position) -> (Vec<Record>, Position) {
    match log.tail(from, PATIENCE).await.expect("it answers") {
        Tail::Records(records, position) => (records, position),
        Tail::Lost(loss) => panic!("the log was lost: {loss:?}"),
    }
}

/// How the position was lost.
async fn loss(log: &dyn RevocationLog, from: Position) -> Loss {
    match log.tail(from, IMPATIENCE).await.expect("it answers") {
        Tail::Records(records, position) => panic!("it goes on: {records:?} to {position}"),
        Tail::Lost(loss) => loss,
    }
}

/// The sessions that records are about.
fn sessions(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|record| match &record.entry.scope {
            Scope::Session(session) => &**session,
            other @ (Scope::Token { .. }
            | Scope::Subject { .. }
            | Scope::Client(_)
            | Scope::Key { .. }
            | Scope::Issuer(_)
            | Scope::Everything
            | Scope::Grants { .. }) => panic!("another scope: {other}"),
        })
        .collect()
}

/// A gateway that tells of itself.
fn gateway_state() -> GatewayState {
    GatewayState {
        instance: "1".to_owned(),
        name: "one".to_owned(),
        version: "0".to_owned(),
        applied: 0,
        mark: None,
        counted_for_ms: 0,
        clock_ahead_ms: None,
        settings: Default::default(),
    }
}
