//! A cluster of three masters.

use portcullis::store::settings::{RedisServers, RedisSettings};

use super::{HOST, RedisOptions, RedisServer, SETTLED, eventually, free_port};

/// How many slots a cluster has.
const SLOTS: usize = 16384;

/// Three nodes, with a third of the slots each.
pub(crate) struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts the nodes and waits until each says that the cluster is whole.
    pub(crate) fn start() -> Self {
        let node = |_| {
            let cluster_port = Some(free_port());
            RedisServer::start_with(RedisOptions { cluster_port, ..RedisOptions::default() })
        };
        let cluster = Self { nodes: (0..3).map(node).collect() };
        let count = cluster.nodes.len();
        for (place, node) in cluster.nodes.iter().enumerate() {
            let first = (SLOTS * place / count).to_string();
            let last = (SLOTS * (place + 1) / count - 1).to_string();
            let epoch = (place + 1).to_string();
            for command in [
                &["cluster", "addslotsrange", &first, &last][..],
                &["cluster", "set-config-epoch", &epoch],
            ] {
                assert_eq!(node.cli(command).trim(), "OK", "{command:?}");
            }
        }
        for node in &cluster.nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.options.cluster_port);
            let bus = bus.expect("a node has one").to_string();
            cluster.nodes[0].cli(&["cluster", "meet", HOST, &port, &bus]);
        }
        eventually("a cluster that is whole", || {
            let is_whole = |node: &RedisServer| {
                let told = node.cli(&["cluster", "info"]);
                told.contains("cluster_state:ok") && told.contains("cluster_known_nodes:3")
            };
            cluster.nodes.iter().all(is_whole).then_some(())
        });
        // All but one send us away.
        cluster.nodes.iter().for_each(RedisServer::settle);
        cluster
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Settings with which a store asks these nodes where its keys are.
    pub(crate) fn settings(&self, asked: &[&RedisServer]) -> RedisSettings {
        let nodes = asked.iter().map(|node| node.address()).collect();
        RedisSettings { servers: RedisServers::Cluster(nodes), ..self.nodes[0].settings() }
    }

    /// Which of the nodes has the key.
    pub(crate) fn home_of(&self, key: &str) -> usize {
        let told = |node: &RedisServer| node.cli(&["exists", key]).trim() == "1";
        let found = self.nodes.iter().position(told);
        found.expect("one of the nodes has the key")
    }

    /// Moves the slot with these keys, which is all that is in it, to another node.
    pub(crate) fn move_slot(&self, keys: &[&str], from: usize, to: usize) {
        let slot = self.nodes[from].cli(&["cluster", "keyslot", keys[0]]).trim().to_owned();
        let id = |place: usize| self.nodes[place].cli(&["cluster", "myid"]).trim().to_owned();
        let (source, target) = (id(from), id(to));
        let ok = |place: usize, command: &[&str]| {
            assert_eq!(self.nodes[place].cli(command).trim(), "OK", "{command:?}");
        };
        ok(to, &["cluster", "setslot", &slot, "importing", &source]);
        ok(from, &["cluster", "setslot", &slot, "migrating", &target]);
        let port = self.nodes[to].port().to_string();
        let mut migrate = vec!["migrate", HOST, &port, "", "0", "5000", "keys"];
        migrate.extend(keys);
        migrate.push(SETTLED);
        ok(from, &migrate);
        for place in [to, from] {
            ok(place, &["cluster", "setslot", &slot, "node", &target]);
        }
    }
}
