//! One seed: things happen, faults among them; then all is mended, and must be as it should.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;

use super::clients;
use super::coverage::Coverage;
use super::history::{Deed, Event, Fault, FaultKind, Heard, Life, Record, Route, Shown, Target};
use super::judge::Judge;
use super::members::Member;
use super::operators::{all_follow, list, operate, revoke, watch};
use super::people::{Person, log_in, mint, probe, refresh, show_old, visit};
use super::setting::Setting;
use super::site::Site;

/// How soon after the last fault everything is decided again, in milliseconds. A gateway that follows its address to another
/// server takes four seconds, and waits up to two before it tries again.
const DECIDED_WITHIN_MS: u64 = 15_000;

/// How often it is looked at least.
const LOOKS_MIN: usize = 12;

/// How soon after its start a gateway has loaded the list, in milliseconds.
const STARTED_WITHIN_MS: u64 = 2_000;

/// The pause between two deeds of one who acts.
const PACE_MS: std::ops::Range<u64> = 20..120;

/// What came of a seed.
pub(super) struct Outcome {
    pub(super) record: Record,
    pub(super) violations: Vec<String>,
    pub(super) coverage: Coverage,
    logs: Vec<(usize, Vec<String>)>,
}

/// Runs a seed.
pub(super) fn run(seed: u64) -> Outcome {
    let site = Site::start(Setting::of(seed));
    let mut violations = Vec::new();
    if begin(&site) {
        happen(&site);
        site.history.record().healed = Some(site.history.now());
        violations.extend(end(&site));
    } else {
        violations.push("not all gateways became ready".to_owned());
    }
    let record = site.history.record().clone();
    violations.extend(Judge::new(&record).violations());
    let logs = if violations.is_empty() { Vec::new() } else { logs(&site) };
    let coverage = Coverage::of(&record);
    Outcome { record, violations, coverage, logs }
}

/// What each gateway knows and has told.
fn logs(site: &Site) -> Vec<(usize, Vec<String>)> {
    let told = |(number, member): (usize, &Member)| {
        let mut lines = member.errors();
        lines.drain(..lines.len().saturating_sub(60));
        for path in ["/v1/gateways", "/v1/revocations?limit=100"] {
            lines
                .push(member.recipient().map_or(String::new(), |recipient| list(&recipient, path)));
        }
        (number, lines)
    };
    site.members.iter().enumerate().map(told).collect()
}

/// Waits until all gateways are ready, but for those that never are.
fn begin(site: &Site) -> bool {
    within(DECIDED_WITHIN_MS, site, || {
        (0..site.members.len()).all(|number| {
            let recipient = site.members[number].recipient();
            site.setting.is_out(number)
                || recipient.is_some_and(|recipient| probe(site, &recipient))
        })
    })
}

/// Says, when it is dropped, that all is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Everybody acts, while things go wrong.
fn happen(site: &Site) {
    let seed = site.setting.seed;
    let rng = |number: u64| Rng::with_seed(seed.wrapping_mul(16).wrapping_add(number));
    let is_over = AtomicBool::new(false);
    let repeat = |mut rng: Rng, mut act: Box<dyn FnMut(&mut Rng) + Send>| {
        while !is_over.load(Ordering::Relaxed) {
            act(&mut rng);
            sleep(Duration::from_millis(rng.u64(PACE_MS)));
        }
    };
    std::thread::scope(|scope| {
        for number in 0..2 {
            let subjects = [[0, 1], [2, 3]][number as usize];
            let mut person = Person::new(site, rng(number), subjects);
            scope.spawn(move || repeat(rng(number + 8), Box::new(move |_| person.act())));
        }
        scope.spawn(|| {
            // Accounts come first where there is little room.
            let is_crowded = site.setting.entries_max.is_some();
            let waits_ms = if is_crowded { site.setting.lasts_ms * 2 / 3 } else { 300 };
            sleep(Duration::from_millis(waits_ms));
            repeat(
                rng(2),
                Box::new(|rng| {
                    operate(site, rng);
                    sleep(Duration::from_millis(rng.u64(100..500)));
                }),
            );
        });
        scope.spawn(|| {
            repeat(
                rng(5),
                Box::new(|rng| {
                    clients::ask(site, rng);
                    sleep(Duration::from_millis(rng.u64(50..300)));
                }),
            );
        });
        scope.spawn(|| repeat(rng(3), Box::new(|rng| watch(site, rng))));
        let mut rng = rng(4);
        let _ends_also_if_this_breaks_off = Over(&is_over);
        while site.history.now() < site.setting.lasts_ms {
            sleep(Duration::from_millis(rng.u64(100..900)));
            let kind = next_fault(site, &mut rng);
            let gateway = rng.usize(..site.members.len());
            let lasts = Duration::from_millis(rng.u64(200..4_500));
            site.suffer(kind, gateway, lasts, &mut rng);
        }
    });
}

/// What goes wrong next. A gateway that starts after something was lost knows only what others have written down again.
fn next_fault(site: &Site, rng: &mut Rng) -> FaultKind {
    let faults = site.setting.faults();
    let kind = faults[rng.usize(..faults.len())];
    let record = site.history.record();
    let last = record.faults.last();
    if last.is_some_and(|last| last.loss.is_some() || last.kind == FaultKind::EvictAll)
        && rng.bool()
    {
        return FaultKind::Kill;
    }
    let lost_list = |fault: &Fault| matches!(fault.kind, FaultKind::EvictList);
    let has_started = |life: &Life| life.spawned + STARTED_WITHIN_MS < site.history.now();
    match kind {
        // A gateway that starts without the list cannot know what it lacks: SECURITY.md, "a Redis that evicts keys".
        FaultKind::Kill if record.faults.iter().any(lost_list) => FaultKind::StandStill,
        FaultKind::EvictList | FaultKind::EvictAll if !record.lives.iter().all(has_started) => {
            FaultKind::Evict
        }
        // Nor can one that has lost its place in the log, and loads the list again.
        FaultKind::EvictList => {
            drop(record);
            let follows = site.front_door(rng).is_some_and(|recipient| all_follow(&recipient));
            if follows { FaultKind::EvictList } else { FaultKind::Evict }
        }
        FaultKind::Kill
        | FaultKind::StandStill
        | FaultKind::Reload
        | FaultKind::SetClock
        | FaultKind::Hold
        | FaultKind::HoldAnswers
        | FaultKind::HoldExchange
        | FaultKind::Cut
        | FaultKind::Delay
        | FaultKind::Duplicate
        | FaultKind::NoNewLinks
        | FaultKind::Split
        | FaultKind::ServerStandsStill
        | FaultKind::ServerRestarts
        | FaultKind::ServerIsOlder
        | FaultKind::ServerIsEmpty
        | FaultKind::Promote
        | FaultKind::PromoteLate
        | FaultKind::FailOver
        | FaultKind::MasterDies
        | FaultKind::Evict
        | FaultKind::EvictLog
        | FaultKind::EvictAll
        | FaultKind::EvictRoster => kind,
    }
}

/// Everything works, and goes on as it should.
fn end(site: &Site) -> Vec<String> {
    let mut undecided = Vec::new();
    let mut rng = Rng::with_seed(site.setting.seed);
    within(DECIDED_WITHIN_MS, site, || {
        undecided = look(site, &mut rng);
        undecided.is_empty()
    });
    undecided.iter().map(|what| format!("undecided after {DECIDED_WITHIN_MS} ms: {what}")).collect()
}

/// Looks at everything once, on all gateways; what is not as it will be.
fn look(site: &Site, rng: &mut Rng) -> Vec<String> {
    let mut undecided = Vec::new();
    for number in 0..site.members.len() {
        let Some(recipient) = site.members[number].recipient() else {
            undecided.push(format!("gateway {number} does not run"));
            continue;
        };
        let is_out = site.setting.is_out(number);
        if probe(site, &recipient) == is_out {
            undecided.push(format!("the readiness of gateway {number} is wrong"));
        }
        let record = site.history.record().clone();
        let judge = Judge::new(&record);
        for shown in credentials(&record) {
            match visit(site, &recipient, shown, Route::Deny).status() {
                Some(200) if judge.is_ended(shown, recipient.place) => {
                    undecided.push(format!("{shown:?} is still let in at gateway {number}"));
                }
                Some(200 | 401) => {}
                other => undecided.push(format!("{shown:?} at gateway {number}: {other:?}")),
            }
        }
        if !is_out && !works(site, number, rng) {
            undecided.push(format!("gateway {number} does not do all that it should"));
        }
    }
    undecided.extend(refresh_all(site, rng));
    undecided.extend(reuse_one(site, rng));
    undecided
}

/// Somebody shows an old token of a login that goes on, which ends it.
fn reuse_one(site: &Site, rng: &mut Rng) -> Option<String> {
    let login = {
        let record = site.history.record();
        let is_done = |event: &Event| {
            matches!(event.deed, Deed::Reuse { .. })
                && event.heard.status() == Some(400)
                && record.healed.is_some_and(|healed| event.span.from >= healed)
        };
        if record.events.iter().any(is_done) {
            return None;
        }
        record.logins.iter().position(|login| !login.is_left && login.pairs.len() >= 3)?
    };
    let recipient = site.front_door(rng)?;
    match show_old(site, &recipient, login, 0).status() {
        Some(400) => {
            site.history.record().logins[login].is_left = true;
            None
        }
        // Its grace is not over, or it is a violation.
        other => Some(format!("the reuse of a token of login {login}: {other:?}")),
    }
}

/// The latest credentials.
fn credentials(record: &Record) -> Vec<Shown> {
    let logins = record.logins.iter().enumerate().rev().take(24);
    let of_logins = logins.flat_map(|(number, login)| {
        let cookie = login.cookie.as_ref().map(|_| Shown::Cookie(number));
        let access = login.pairs.len().checked_sub(1).map(|nth| Shown::Access(number, nth));
        cookie.into_iter().chain(access)
    });
    of_logins.chain((0..record.foreign.len()).map(Shown::Foreign)).collect()
}

/// Whether somebody can log in, a client gets a token, and somebody be cut off everywhere.
fn works(site: &Site, number: usize, rng: &mut Rng) -> bool {
    let Some(recipient) = site.members[number].recipient() else { return false };
    let Some(login) = log_in(site, &recipient, rng.usize(..4), "both") else { return false };
    let is_in = visit(site, &recipient, Shown::Cookie(login), Route::Deny).status() == Some(200)
        && clients::is_served(site, &recipient, rng);
    if site.setting.entries_max.is_some() || site.setting.offsets_s.iter().any(|off| *off <= -300) {
        return is_in;
    }
    let token = mint(site, rng.usize(..4), 700);
    // One that was killed is counted for a minute at least, and so is one that only a lost roster
    // can have named: it may be serving. No seed lasts that long.
    let waits = site
        .history
        .record()
        .faults
        .iter()
        .all(|fault| !matches!(fault.kind, FaultKind::Kill | FaultKind::EvictRoster));
    revoke(site, &recipient, Target::Token(Shown::Foreign(token)), waits);
    let record = site.history.record();
    let told = record.events.iter().rev().find(|event| matches!(event.deed, Deed::Revoke { .. }));
    let is_cut_off = matches!(
        told.map(|event| &event.heard),
        Some(Heard::Told { is_durable: true, is_confirmed, .. }) if *is_confirmed || !waits
    );
    is_in && is_cut_off
}

/// Everybody who is logged in refreshes once more.
fn refresh_all(site: &Site, rng: &mut Rng) -> Vec<String> {
    let logins: Vec<_> = {
        let record = site.history.record();
        let with_tokens = record
            .logins
            .iter()
            .enumerate()
            .filter(|(_, login)| !login.is_left && !login.pairs.is_empty());
        with_tokens.map(|(number, _)| number).collect()
    };
    let mut undecided = Vec::new();
    for login in logins {
        let Some(recipient) = site.front_door(rng) else { continue };
        match refresh(site, &recipient, login, false).as_ref().and_then(Heard::status) {
            Some(200) => {}
            Some(400 | 401) => site.history.record().logins[login].is_left = true,
            other => undecided.push(format!("a refresh of login {login}: {other:?}")),
        }
    }
    undecided
}

/// Whether something is so within this time, and before it was looked at for so often: a machine that stands still for most
/// of the time has its gateways stand still, too.
fn within(limit_ms: u64, site: &Site, mut condition: impl FnMut() -> bool) -> bool {
    let from = site.history.now();
    let mut looks = 0;
    loop {
        if condition() {
            return true;
        }
        looks += 1;
        if looks >= LOOKS_MIN && site.history.now() > from + limit_ms {
            return false;
        }
        sleep(Duration::from_millis(250));
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.record.setting.seed;
        writeln!(f, "==== seed {seed}\n{}", self.record)?;
        for (number, lines) in &self.logs {
            writeln!(f, "gateway {number} told last:\n{}", lines.join("\n"))?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION {violation}")?;
        }
        writeln!(f, "repeat it with: make simulate SEED={seed}")
    }
}
