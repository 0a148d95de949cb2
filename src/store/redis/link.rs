//! The connection for commands: shared by all callers, and replaced when it fails.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::fault;
use super::master::{Live, Master};
use crate::store::StoreError;

/// A connection to the master, or the lack of one.
#[derive(Default)]
pub(super) struct Link {
    live: Mutex<Option<Live>>,
    /// How often a connection was made or discarded.
    changes: AtomicU64,
    /// Held by the caller that connects. Holds the failure of the last try, if it failed.
    connecting: tokio::sync::Mutex<Option<LinkFailure>>,
}

struct LinkFailure {
    at: Instant,
    error: StoreError,
}

impl Link {
    /// Sends a question and returns its answer. Sending `question` twice must do no harm: it is
    /// sent again if the connection had been closed or the server is no longer the master.
    pub(super) async fn ask<T, A>(
        &self,
        master: &Master,
        what: &str,
        question: impl Fn(MultiplexedConnection) -> A + Send + Sync,
    ) -> Result<T, StoreError>
    where
        A: Future<Output = RedisResult<T>> + Send,
    {
        self.ask_and_tell(master, what, question).await.map(|(answer, _)| answer)
    }

    /// The same, with the connection that the answer came on.
    pub(super) async fn ask_and_tell<T, A>(
        &self,
        master: &Master,
        what: &str,
        question: impl Fn(MultiplexedConnection) -> A + Send + Sync,
    ) -> Result<(T, Live), StoreError>
    where
        A: Future<Output = RedisResult<T>> + Send,
    {
        self.ask_on(master, what, |live: Live| question(live.connection)).await
    }

    /// The same for a question that depends on the server that answers it.
    pub(super) async fn ask_on<T, A>(
        &self,
        master: &Master,
        what: &str,
        question: impl Fn(Live) -> A + Send + Sync,
    ) -> Result<(T, Live), StoreError>
    where
        A: Future<Output = RedisResult<T>> + Send,
    {
        let first = self.connected(master).await?;
        match question(first.clone()).await {
            Ok(answer) => return self.accept(master, first, what, answer),
            Err(error) => {
                self.discard(&first);
                if !fault::may_be_elsewhere(&error) {
                    return Err(fault::at(&first.address, what, &error));
                }
            }
        }
        let second = self.connected(master).await?;
        match question(second.clone()).await {
            Ok(answer) => self.accept(master, second, what, answer),
            Err(error) => {
                self.discard(&second);
                Err(fault::at(&second.address, what, &error))
            }
        }
    }

    /// A number that changes each time that a connection is made or discarded, or the master
    /// changes.
    pub(super) fn era(&self, master: &Master) -> u64 {
        self.changes.load(Ordering::Acquire).wrapping_add(master.epoch())
    }

    /// Accepts an answer only if it came from the master.
    fn accept<T>(
        &self,
        master: &Master,
        live: Live,
        what: &str,
        answer: T,
    ) -> Result<(T, Live), StoreError> {
        if master.is_current(&live) {
            return Ok((answer, live));
        }
        self.discard(&live);
        Err(live.deposed(what))
    }

    async fn connected(&self, master: &Master) -> Result<Live, StoreError> {
        if let Some(live) = self.current(master) {
            return Ok(live);
        }
        let asked = Instant::now();
        let mut last = self.connecting.lock().await;
        if let Some(live) = self.current(master) {
            return Ok(live);
        }
        // A caller that waited while another tried gets that failure. Otherwise callers would queue
        // up, each for a timeout longer than the one before.
        if let Some(LinkFailure { at, error }) = &*last
            && *at >= asked
        {
            return Err(error.clone());
        }
        match master.connect().await {
            Ok(live) => {
                *self.live() = Some(live.clone());
                self.changes.fetch_add(1, Ordering::AcqRel);
                Ok(live)
            }
            Err(error) => {
                *last = Some(LinkFailure { at: Instant::now(), error: error.clone() });
                Err(error)
            }
        }
    }

    fn current(&self, master: &Master) -> Option<Live> {
        self.live().clone().filter(|live| master.is_current(live))
    }

    fn discard(&self, broken: &Live) {
        let mut live = self.live();
        if live.as_ref().is_some_and(|live| live.number == broken.number) {
            *live = None;
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
