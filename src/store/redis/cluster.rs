//! Asks the nodes of a cluster which of them is the master for the store's keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{Value, from_redis_value};

use super::dial::Dial;
use super::node::Node;
use crate::store::settings::RedisAddress;

/// The nodes, and a key in the slot of all the store's keys.
pub(super) struct Cluster {
    key: Box<str>,
    nodes: Vec<Node>,
    /// The node that answered last, which is asked first.
    answered: AtomicUsize,
}

impl Cluster {
    /// The cluster at these addresses; the slot of `key` is the one whose master is wanted.
    pub(super) fn new(key: &str, addresses: &[RedisAddress]) -> Self {
        let nodes = addresses.iter().map(Node::of_cluster).collect();
        Self { key: key.into(), nodes, answered: AtomicUsize::new(0) }
    }

    /// The master of the slot, according to the first node that answers and is not cut off from the
    /// others.
    pub(super) async fn master(&self, dial: &Dial) -> Result<RedisAddress, String> {
        let mut questions = redis::pipe();
        questions.cmd("CLUSTER").arg("INFO");
        questions.cmd("CLUSTER").arg("KEYSLOT").arg(&*self.key);
        questions.cmd("CLUSTER").arg("SLOTS");
        let begin = self.answered.load(Ordering::Relaxed);
        let mut faults: Vec<String> = Vec::new();
        for offset in 0..self.nodes.len() {
            let place = (begin + offset) % self.nodes.len();
            let node = &self.nodes[place];
            let reply = node.ask(dial, &questions).await;
            match reply.and_then(|answers| master_in(answers, &node.address)) {
                Ok(master) => {
                    self.answered.store(place, Ordering::Relaxed);
                    return Ok(master);
                }
                Err(fault) => faults.push(fault),
            }
        }
        Err(format!("no node of the cluster knows the master ({})", faults.join("; ")))
    }
}

/// The master of the slot, in the answers of this node.
fn master_in(answers: Vec<Value>, node: &RedisAddress) -> Result<RedisAddress, String> {
    let odd = |_| format!("{node}: an answer that cannot be understood");
    let answers: [Value; 3] = answers.try_into().map_err(|_| format!("{node}: too few answers"))?;
    let [info, slot, slots] = answers;
    let info: String = from_redis_value(info).map_err(odd)?;
    if !info.contains("cluster_state:ok") {
        return Err(format!("{node}: the cluster is down"));
    }
    let slot: u64 = from_redis_value(slot).map_err(odd)?;
    let slots: Vec<Vec<Value>> = from_redis_value(slots).map_err(odd)?;
    for range in slots {
        // First slot, last slot, the master, its replicas.
        let mut range = range.into_iter();
        let (Some(first), Some(last), Some(master)) = (range.next(), range.next(), range.next())
        else {
            continue;
        };
        let first: u64 = from_redis_value(first).map_err(odd)?;
        let last: u64 = from_redis_value(last).map_err(odd)?;
        if (first..=last).contains(&slot) {
            let master: Vec<Value> = from_redis_value(master).map_err(odd)?;
            let mut master = master.into_iter();
            let host = master.next().unwrap_or_default();
            let host: Option<String> = from_redis_value(host).map_err(odd)?;
            let port = from_redis_value(master.next().unwrap_or_default()).map_err(odd)?;
            // A node that does not know its own address leaves it out.
            let host = host.filter(|host| !host.is_empty());
            let host = host.map_or_else(|| node.host.clone(), Into::into);
            return Ok(RedisAddress { host, port });
        }
    }
    Err(format!("{node}: nobody serves the slot {slot}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn master_named(info: &str, host: Value) -> Result<RedisAddress, String> {
        let other = Value::Array(vec![text("10.0.0.9"), Value::Int(7)]);
        let master = Value::Array(vec![host, Value::Int(6380), text("an id")]);
        let slots = Value::Array(vec![
            Value::Array(vec![Value::Int(0), Value::Int(4), other.clone()]),
            Value::Array(vec![Value::Int(5), Value::Int(9), master, other]),
        ]);
        let asked = RedisAddress { host: "asked".into(), port: 1 };
        master_in(vec![text(info), Value::Int(9), slots], &asked)
    }

    #[test]
    fn master_of_the_slot_is_found_and_an_empty_host_is_the_one_asked() {
        let at = |host: &str| Ok(RedisAddress { host: host.into(), port: 6380 });
        let ok = "cluster_state:ok\r\n";
        assert_eq!(master_named(ok, text("10.0.0.1")), at("10.0.0.1"));
        assert_eq!(master_named(ok, text("")), at("asked"));
        assert_eq!(master_named(ok, Value::Nil), at("asked"));
    }

    #[test]
    fn node_that_is_cut_off_is_not_believed() {
        master_named("cluster_state:fail\r\n", text("10.0.0.1")).expect_err("it may be wrong");
    }
}
