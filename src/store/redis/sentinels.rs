//! Asks the sentinels for the master, and takes the server that most of them name.

use std::sync::Arc;

use redis::{Value, from_redis_value};
use tokio::task::JoinSet;

use super::dial::Dial;
use super::node::Node;
use crate::store::settings::RedisAddress;

/// The sentinels, and the name by which they know the master.
pub(super) struct Sentinels {
    name: Box<str>,
    nodes: Vec<Arc<Node>>,
}

/// The server that sentinels name.
pub(super) struct Named {
    pub(super) address: RedisAddress,
    /// Whether a majority of all sentinels names it, and not only of those that answer.
    pub(super) by_majority: bool,
}

impl Sentinels {
    /// The sentinels at these addresses, which know the master by this name.
    pub(super) fn new(name: &str, addresses: &[RedisAddress]) -> Self {
        let nodes = addresses.iter().map(|address| Arc::new(Node::sentinel(address))).collect();
        Self { name: name.into(), nodes }
    }

    /// The server that most of the answering sentinels name. All are asked: a sentinel that is cut
    /// off from the others still names a master that they have deposed.
    pub(super) async fn master(&self, dial: &Arc<Dial>) -> Result<Named, String> {
        let mut asked = JoinSet::new();
        for node in &self.nodes {
            let (node, dial) = (node.clone(), dial.clone());
            let mut question = redis::pipe();
            question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.name);
            asked.spawn(async move {
                let answers = node.ask(&dial, &question).await?;
                let named = answers.into_iter().next().unwrap_or_default();
                Ok((node.address.clone(), address(named)))
            });
        }
        let mut votes: Vec<(RedisAddress, usize)> = Vec::new();
        let mut faults: Vec<String> = Vec::new();
        while let Some(answered) = asked.join_next().await {
            match answered.map_err(|error| error.to_string()).flatten() {
                Ok((_, Some(named))) => {
                    let count = match votes.iter_mut().find(|(address, _)| *address == named) {
                        Some((_, count)) => {
                            *count += 1;
                            *count
                        }
                        None => {
                            votes.push((named.clone(), 1));
                            1
                        }
                    };
                    if count * 2 > self.nodes.len() {
                        return Ok(Named { address: named, by_majority: true });
                    }
                }
                Ok((node, None)) => {
                    faults.push(format!("{node}: it does not know `{}`", self.name));
                }
                Err(fault) => faults.push(fault),
            }
        }
        // The first of those with the most votes.
        let named = votes.into_iter().rev().max_by_key(|(_, count)| *count);
        faults.sort();
        named.map(|(address, _)| Named { address, by_majority: false }).ok_or_else(|| {
            format!("no sentinel names the master `{}` ({})", self.name, faults.join("; "))
        })
    }
}

/// The address in an answer: host and port, or nothing.
fn address(named: Value) -> Option<RedisAddress> {
    let (host, port): (String, u16) = from_redis_value(named).ok()?;
    Some(RedisAddress { host: host.into(), port })
}
