//! What a seed decides beforehand: the store, the gateways, their clocks and settings.

use fastrand::Rng;

use super::history::FaultKind;

/// Where everything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StoreKind {
    /// One gateway, and a file.
    Embedded,
    /// A Redis, and a proxy for each gateway, whose links break.
    Links,
    /// The same, over TLS.
    Tls,
    /// A Redis that is started again, sometimes with older data.
    Restarts,
    /// A Redis with a replica that is promoted behind the same address.
    Replica,
    /// A Redis Cluster of three nodes.
    Cluster,
    /// A master and a replica that Sentinel watches.
    Sentinel,
}

/// All of a seed that does not happen in time.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) store: StoreKind,
    pub(super) gateways: usize,
    /// How far the clock of each gateway is ahead, in seconds.
    pub(super) offsets_s: Vec<i64>,
    pub(super) accept_local: bool,
    pub(super) max_staleness_s: u64,
    pub(super) grace_s: u64,
    /// How many entries the list takes, if that is few.
    pub(super) entries_max: Option<u64>,
    /// The user of the store may not ask which server it is.
    pub(super) hides_identity: bool,
    /// How long things happen, in milliseconds.
    pub(super) lasts_ms: u64,
}

/// What a Redis that evicts keys takes, beside sessions.
const EVICTIONS: [FaultKind; 4] =
    [FaultKind::EvictList, FaultKind::EvictLog, FaultKind::EvictAll, FaultKind::EvictRoster];

/// As far as a clock may be off before a gateway is not ready, in seconds.
pub(super) const APART_MAX_S: i64 = 300;

impl Setting {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let drawn = rng.u8(..24);
        let store = match drawn {
            // Few: it takes seconds until sentinels know each other.
            _ if seed % 16 == 11 => StoreKind::Sentinel,
            0..3 => StoreKind::Embedded,
            3..11 => StoreKind::Links,
            11..13 => StoreKind::Tls,
            13..17 => StoreKind::Restarts,
            17..22 => StoreKind::Replica,
            _ => StoreKind::Cluster,
        };
        let gateways = match store {
            StoreKind::Embedded => 1,
            StoreKind::Links
            | StoreKind::Tls
            | StoreKind::Restarts
            | StoreKind::Replica
            | StoreKind::Cluster
            | StoreKind::Sentinel => [1, 2, 2, 2, 3][rng.usize(..5)],
        };
        let offset = |_| match rng.u8(..10) {
            0 => [10, -10][rng.usize(..2)],
            1 => [200, -200][rng.usize(..2)],
            2 if rng.u8(..3) == 0 => [600, -600][rng.usize(..2)],
            _ => 0,
        };
        let offsets_s = (0..gateways).map(offset).collect();
        Self {
            seed,
            store,
            gateways,
            offsets_s,
            accept_local: rng.bool(),
            max_staleness_s: rng.u64(1..=2),
            grace_s: rng.u64(1..=3),
            entries_max: (rng.u8(..5) == 0).then_some(20),
            hides_identity: store == StoreKind::Replica && rng.u8(..2) == 0,
            lasts_ms: rng.u64(4_000..7_000),
        }
    }

    /// Whether a gateway's clock is so wrong that it is not to be used. Where nobody else has a clock, none is wrong.
    pub(super) fn is_out(&self, gateway: usize) -> bool {
        self.store != StoreKind::Embedded && self.offsets_s[gateway].abs() >= APART_MAX_S
    }

    /// What may go wrong.
    pub(super) fn faults(&self) -> Vec<FaultKind> {
        use FaultKind as F;
        let mut faults = vec![F::Kill, F::StandStill, F::Reload];
        if self.store != StoreKind::Embedded {
            faults.push(F::SetClock);
        }
        let links = [F::Hold, F::HoldAnswers, F::Cut, F::Delay, F::NoNewLinks, F::Split, F::Split];
        faults.extend(match self.store {
            StoreKind::Embedded => vec![],
            StoreKind::Links => {
                [&links[..], &links, &[F::Duplicate, F::Evict], &EVICTIONS].concat()
            }
            StoreKind::Tls => links.to_vec(),
            StoreKind::Restarts => vec![
                F::ServerStandsStill,
                F::ServerRestarts,
                F::ServerIsOlder,
                F::ServerIsOlder,
                F::ServerIsEmpty,
                F::Cut,
            ],
            StoreKind::Replica => vec![F::Promote, F::PromoteLate, F::Promote, F::PromoteLate],
            StoreKind::Cluster => [&[F::ServerStandsStill, F::Evict], &EVICTIONS[..]].concat(),
            StoreKind::Sentinel => vec![F::FailOver, F::MasterDies, F::FailOver, F::MasterDies],
        });
        faults
    }
}
