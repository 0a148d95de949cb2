//! Asks a server where the master is, over a connection that is kept for the next time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use super::dial::{Dial, Dialled, ExpectedServer};
use super::fault;
use crate::store::settings::RedisAddress;

/// How long one of them may take. Short, because another one may know.
const GUIDE_TIMEOUT: Duration = Duration::from_millis(500);

/// A sentinel, or a node of a cluster.
pub(super) struct Node {
    pub(super) address: RedisAddress,
    expected: ExpectedServer,
    kept: Mutex<Option<MultiplexedConnection>>,
}

impl Node {
    /// A sentinel at this address.
    pub(super) fn sentinel(address: &RedisAddress) -> Self {
        Self {
            address: address.clone(),
            expected: ExpectedServer::Sentinel,
            kept: Mutex::default(),
        }
    }

    /// A node of a cluster at this address.
    pub(super) fn of_cluster(address: &RedisAddress) -> Self {
        Self { address: address.clone(), expected: ExpectedServer::Node, kept: Mutex::default() }
    }

    /// The answers to these commands.
    pub(super) async fn ask(
        &self,
        dial: &Dial,
        questions: &Pipeline,
    ) -> Result<Vec<Value>, String> {
        let asking = tokio::time::timeout(GUIDE_TIMEOUT, self.ask_without_end(dial, questions));
        let answered = asking.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        answered.map_err(|cause| format!("{}: {cause}", self.address))
    }

    async fn ask_without_end(
        &self,
        dial: &Dial,
        questions: &Pipeline,
    ) -> Result<Vec<Value>, String> {
        // Taken out, so that a caller that gives up does not leave a connection with a pending
        // answer.
        let kept = self.kept().take();
        if let Some(mut connection) = kept
            && let Ok(answers) = questions.query_async(&mut connection).await
        {
            *self.kept() = Some(connection);
            return Ok(answers);
        }
        let Dialled { mut connection, identity: _ } =
            dial.connect(&self.address, self.expected).await?;
        let answers = questions.query_async(&mut connection).await;
        let answers = answers.map_err(|error| fault::cause(&error))?;
        *self.kept() = Some(connection);
        Ok(answers)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
