//! How often each thing happened: what never does is not simulated.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{Deed, FaultKind, Record, Target};

/// Counts, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage(BTreeMap<String, usize>);

impl Coverage {
    pub(super) fn of(record: &Record) -> Self {
        let mut coverage = Self::default();
        let setting = &record.setting;
        coverage.add(format!("store {:?}", setting.store));
        for (name, is_so) in [
            ("setting accept_local", setting.accept_local),
            ("setting a full list", setting.entries_max.is_some()),
            ("setting a hidden identity", setting.hides_identity),
            ("setting a clock that is off", setting.offsets_s.iter().any(|off| *off != 0)),
            ("setting a clock beyond bounds", (0..setting.gateways).any(|one| setting.is_out(one))),
        ] {
            if is_so {
                coverage.add(name.to_owned());
            }
        }
        for fault in &record.faults {
            coverage.add(format!("fault {:?}", fault.kind));
        }
        for event in &record.events {
            let status = event.heard.status().map_or("nothing".to_owned(), |code| code.to_string());
            coverage.add(format!("deed {} → {status}", name(event.deed)));
        }
        coverage
    }

    fn add(&mut self, name: String) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(super) fn join(&mut self, other: Self) {
        for (name, count) in other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    /// What should have happened, and never did.
    pub(super) fn missing(&self) -> Vec<String> {
        use FaultKind as F;
        let faults = [
            F::Kill,
            F::StandStill,
            F::Reload,
            F::SetClock,
            F::Hold,
            F::HoldAnswers,
            F::HoldExchange,
            F::Cut,
            F::Delay,
            F::Duplicate,
            F::NoNewLinks,
            F::Split,
            F::ServerStandsStill,
            F::ServerRestarts,
            F::ServerIsOlder,
            F::ServerIsEmpty,
            F::Promote,
            F::PromoteLate,
            F::FailOver,
            F::MasterDies,
            F::Evict,
            F::EvictList,
            F::EvictLog,
            F::EvictAll,
            F::EvictRoster,
        ];
        let faults = faults.iter().map(|kind| format!("fault {kind:?}"));
        let others = WANTED.iter().map(|name| (*name).to_owned());
        faults.chain(others).filter(|name| !self.0.contains_key(name)).collect()
    }
}

/// What else must have happened.
const WANTED: [&str; 30] = [
    "store Embedded",
    "store Links",
    "store Tls",
    "store Restarts",
    "store Replica",
    "store Cluster",
    "store Sentinel",
    "setting accept_local",
    "setting a full list",
    "setting a hidden identity",
    "setting a clock that is off",
    "setting a clock beyond bounds",
    "deed log in → 200",
    "deed log in → 503",
    "deed visit → 200",
    "deed visit → 401",
    "deed visit → 503",
    "deed refresh → 200",
    "deed refresh → 503",
    "deed refresh → nothing",
    "deed reuse → 400",
    "deed log out → 204",
    "deed log out everywhere → 204",
    "deed revoke a token → 201",
    "deed revoke a session → 201",
    "deed revoke a subject → 202",
    "deed rotate keys → 201",
    "deed show an assertion → 200",
    "deed show an assertion → 401",
    "deed show an assertion → 503",
];

fn name(deed: Deed) -> &'static str {
    match deed {
        Deed::LogIn { .. } => "log in",
        Deed::Visit { .. } => "visit",
        Deed::Refresh { .. } => "refresh",
        Deed::Reuse { .. } => "reuse",
        Deed::LogOut { .. } => "log out",
        Deed::LogOutEverywhere { .. } => "log out everywhere",
        Deed::GiveBack { .. } => "give a refresh token back",
        Deed::Revoke { target: Target::Token(_), .. } => "revoke a token",
        Deed::Revoke { target: Target::Session(_), .. } => "revoke a session",
        Deed::Revoke { target: Target::Subject(_), .. } => "revoke a subject",
        Deed::EndSession { .. } => "end a session",
        Deed::EndSessions { .. } => "end all sessions",
        Deed::RotateKeys => "rotate keys",
        Deed::ShowAssertion { .. } => "show an assertion",
        Deed::Probe => "probe",
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{count:>8}  {name}"))
    }
}
