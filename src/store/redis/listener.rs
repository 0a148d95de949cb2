//! Listens for changes of sessions, on a connection of its own on which the server pushes them
//! (client-side caching, RESP3).
//!
//! The server pushes its earlier changes before it answers a question, and the pushes arrive before
//! the answer. So with the answer, all changes from before the question have been reported.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use super::fault;
use super::head::{HeadComparison, LogHead};
use super::identity::Role;
use super::keys::KeyNames;
use super::master::{Live, Master};
use super::reply::HeldRecord;
use super::script::PLACE;
use crate::gate::session::SessionId;
use crate::store::StoreError;
use crate::store::session::SessionNotice;
use crate::store::settings::RedisAddress;

/// The name of this activity in messages.
const WHAT: &str = "listening for changes";

/// How often to ask the server whether it is still there.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Reports changes until listening fails.
pub(super) async fn listen(
    master: &Master,
    head: &LogHead,
    keys: &KeyNames,
    hear: &mut (dyn FnMut(SessionNotice) + Send),
) -> Result<Infallible, StoreError> {
    let (sender, pushes) = mpsc::unbounded_channel();
    let live = master.connect_for_pushes(sender).await?;
    track(&live, &keys.session).await?;
    hear(SessionNotice::Begun);
    let (address, session) = (&live.address, &*keys.session);
    let mut listener = PushListener { address, session, pushes, hear };
    loop {
        let asked = Instant::now();
        let known = head.known_to(&live);
        // Not `PING`: a node that no longer serves the slot says so only when it is asked about a
        // key, and otherwise stays silent for ever. The log also shows whether all other commands
        // go to this server.
        let mut question = PLACE.key(&keys.log);
        question.arg(known.unwrap_or_default().sequence);
        let mut connection = live.connection.clone();
        let answered = listener
            .until(question.invoke_async::<(u64, Option<Vec<u8>>)>(&mut connection))
            .await?;
        let (end, record) = answered.map_err(|error| fault::at(&live.address, WHAT, &error))?;
        if !master.is_current(&live) {
            return Err(live.deposed(WHAT));
        }
        // An unreadable record could be any record.
        let held = HeldRecord::from_record(record.as_deref()).unwrap_or(HeldRecord::Nothing);
        let sight =
            known.map_or(HeadComparison::Same, |known| HeadComparison::of(known, end, held));
        if let Some(fault) = sight.fault() {
            master.begin_epoch_after(&live);
            return Err(live.apart(WHAT, fault));
        }
        // If the server has an identity, that shows whether the address leads to another server.
        if live.identity.is_none() {
            let mut connection = live.connection.clone();
            let hello = listener.until(redis::cmd("HELLO").query_async(&mut connection)).await?;
            let hello = hello.map_err(|error| fault::at(&live.address, WHAT, &error))?;
            if Role::from_hello(&hello) == Role::Replica {
                master.begin_epoch_after(&live);
                return Err(live.apart(WHAT, fault::REPLICA));
            }
        }
        let ago_ms = asked.elapsed().as_micros().div_ceil(1000);
        (listener.hear)(SessionNotice::Contact(u64::try_from(ago_ms).unwrap_or(u64::MAX)));
        listener.until(tokio::time::sleep(ASKED_EVERY)).await?;
    }
}

/// Has the server push the names of keys that change.
async fn track(live: &Live, session: &str) -> Result<(), StoreError> {
    let mut asking = redis::cmd("CLIENT");
    asking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(session);
    let answer = asking.query_async::<()>(&mut live.connection.clone()).await;
    answer.map_err(|error| match error.code() {
        Some("NOPERM" | "ERR") => StoreError::Refused(format!(
            "Redis at {}: it does not tell when sessions change ({}): CLIENT TRACKING is needed, \
             which an ACL user may with +client|tracking",
            live.address,
            fault::cause(&error)
        )),
        Some(_) | None => fault::at(&live.address, "asking to be told of changes", &error),
    })
}

/// The pushes of a server, and the receiver of their notices.
struct PushListener<'l> {
    address: &'l RedisAddress,
    /// The prefix of the keys of sessions.
    session: &'l str,
    pushes: mpsc::UnboundedReceiver<PushInfo>,
    hear: &'l mut (dyn FnMut(SessionNotice) + Send),
}

impl PushListener<'_> {
    /// Reports pushes until `done`, and all that came before that.
    async fn until<T>(&mut self, done: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut done = pin!(done);
        let outcome = loop {
            tokio::select! {
                biased;
                push = self.pushes.recv() => self.tell(push)?,
                outcome = &mut done => break outcome,
            }
        };
        while let Ok(push) = self.pushes.try_recv() {
            self.tell(Some(push))?;
        }
        Ok(outcome)
    }

    fn tell(&mut self, push: Option<PushInfo>) -> Result<(), StoreError> {
        match push {
            Some(PushInfo { kind: PushKind::Invalidate, data }) => {
                for notice in changes(&data, self.session) {
                    (self.hear)(notice);
                }
                Ok(())
            }
            None | Some(PushInfo { kind: PushKind::Disconnection, .. }) => {
                let address = self.address;
                let text = format!("Redis at {address}: listening for changes: it hung up");
                Err(StoreError::Unavailable(text))
            }
            // The gateway subscribed to nothing else, so the push may mean any change.
            Some(_) => {
                (self.hear)(SessionNotice::Anything);
                Ok(())
            }
        }
    }
}

/// The changes in an invalidation: the keys that changed, or nothing if all may have changed.
fn changes(data: &[Value], session: &str) -> Vec<SessionNotice> {
    let [Value::Array(keys)] = data else { return vec![SessionNotice::Anything] };
    let change = |key: &Value| {
        let Value::BulkString(key) = key else { return Some(SessionNotice::Anything) };
        let id = std::str::from_utf8(key).ok()?.strip_prefix(session)?;
        // Keys other than those of sessions do not matter here.
        SessionId::parse(id).map(SessionNotice::Changed)
    };
    keys.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_pushed_before_an_answer_is_told_before_it() {
        let (sender, pushes) = mpsc::unbounded_channel();
        let address = RedisAddress { host: "nowhere.test".into(), port: 1 };
        let mut heard = Vec::new();
        let mut hear = |notice| heard.push(notice);
        let mut listener =
            PushListener { address: &address, session: "p:session:", pushes, hear: &mut hear };
        // Both arrive after the pushes were polled and before the answer is.
        let answer = async {
            for _ in 0..300 {
                let push = PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] };
                sender.send(push).expect("it is listened to");
            }
            7
        };
        assert_eq!(listener.until(answer).await, Ok(7));
        assert_eq!(heard, vec![SessionNotice::Anything; 300]);
    }

    #[test]
    fn invalidation_names_sessions_or_means_anything() {
        let id = SessionId::from_bytes([7; 32]);
        let key = |text: String| Value::BulkString(text.into_bytes());
        let keys = |keys: Vec<Value>| changes(&[Value::Array(keys)], "p:session:");
        let ours = key(format!("p:session:{id}"));
        assert_eq!(
            keys(vec![ours.clone(), ours]),
            [SessionNotice::Changed(id), SessionNotice::Changed(id)]
        );
        assert_eq!(keys(vec![key(format!("p:session:{id}x")), key("q".into())]), []);
        assert_eq!(keys(vec![Value::Int(1)]), [SessionNotice::Anything]);
        for odd in [vec![], vec![Value::Nil], vec![Value::Array(vec![]), Value::Nil]] {
            assert_eq!(changes(&odd, "p:session:"), [SessionNotice::Anything], "{odd:?}");
        }
    }
}
