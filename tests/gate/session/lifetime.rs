//! How long a session lives, rests, and counts as known.

use super::*;

/// Alice's session, asked for so long after the login, with a list that is current.
fn after(gate: &CompiledGate, seconds: i64) -> &'static str {
    let now = later(seconds);
    gate.revocations.contact(now.steady);
    gate.slug_for(&GateRequest::logged_in("/only/7").at(now))
}

/// The same, freshly read from the store as it is there.
fn after_reading(gate: &CompiledGate, stored: &StoredSession, seconds: i64) -> &'static str {
    let rules = &gate.configuration.gate.sessions.rules;
    let now = later(seconds);
    gate.revocations.contact(now.steady);
    let read = Arc::new(Session::compile(own().id(), stored, rules, now.steady));
    gate.slug_for(&GateRequest::logged_in("/only/7").at(now).having_read(read))
}

#[test]
fn session_that_rested_for_its_whole_time_has_expired() {
    let gate = gatehouse();
    assert_eq!(after_reading(&gate, &stored(), IDLE_S - 1), PERMITTED);
    assert_eq!(after_reading(&gate, &stored(), IDLE_S), "session_expired");
    let mut used = stored();
    used.last_seen = UnixTime::from_seconds(NOW + 100);
    assert_eq!(after_reading(&gate, &used, IDLE_S + 99), PERMITTED);
    assert_eq!(after_reading(&gate, &used, IDLE_S + 100), "session_expired");
}

#[test]
fn session_ends_however_busy_it_is() {
    let gate = gatehouse();
    let mut busy = stored();
    busy.last_seen = UnixTime::from_seconds(NOW + LIFETIME_S - 1);
    assert_eq!(after_reading(&gate, &busy, LIFETIME_S - 1), PERMITTED);
    assert_eq!(after_reading(&gate, &busy, LIFETIME_S), "session_expired");
}

/// The login may have been under other rules than those in force; the stricter ones hold.
#[test]
fn rules_that_became_stricter_hold_for_sessions_that_are_there() {
    let gate = with(&["sessions: {idle_timeout: 60s, absolute_timeout: 600s}"], "");
    assert_eq!(after_reading(&gate, &stored(), 59), PERMITTED);
    assert_eq!(after_reading(&gate, &stored(), 60), "session_expired");
    let mut busy = stored();
    busy.last_seen = UnixTime::from_seconds(NOW + 599);
    assert_eq!(after_reading(&gate, &busy, 599), PERMITTED);
    assert_eq!(after_reading(&gate, &busy, 600), "session_expired");
}

#[test]
fn rules_that_became_laxer_do_not_prolong_sessions_that_are_there() {
    let gate = with(&["sessions: {idle_timeout: 24h, absolute_timeout: 30d}"], "");
    assert_eq!(after_reading(&gate, &stored(), IDLE_S - 1), PERMITTED);
    assert_eq!(after_reading(&gate, &stored(), IDLE_S), "session_expired");
    let mut busy = stored();
    busy.last_seen = UnixTime::from_seconds(NOW + LIFETIME_S - 1);
    assert_eq!(after_reading(&gate, &busy, LIFETIME_S), "session_expired");
}

/// It may have been used elsewhere: the store knows, memory does not.
#[test]
fn session_in_memory_that_rested_too_long_here_is_looked_up_before_it_is_refused() {
    let section = "sessions: {recheck: 1h, idle_timeout: 60s}";
    let gate = with(&[section], "").with_alice();
    assert_eq!(after(&gate, 59), PERMITTED);
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7").at(later(60)));
    assert_eq!(slug_of(&verdict), "store_unavailable");
    let wanted = wanted(&verdict).expect("it is wanted");
    assert_eq!(wanted.id, own().id());
    assert!(wanted.aged.is_none(), "nobody may go on with what has rested too long");
    let mut used = stored();
    used.last_seen = UnixTime::from_seconds(NOW + 50);
    assert_eq!(after_reading(&gate, &used, 60), PERMITTED);
    assert_eq!(after_reading(&gate, &stored(), 60), "session_expired");
}

#[test]
fn use_keeps_a_session_from_resting() {
    let gate = with(&["sessions: {recheck: 1h}"], "");
    let session = gate.remember(&own(), &stored());
    assert!(session.touch(UnixTime::from_seconds(NOW + 1000)));
    assert_eq!(after(&gate, 1000 + IDLE_S - 1), PERMITTED);
    assert_eq!(after(&gate, 1000 + IDLE_S), "store_unavailable");
}

#[test]
fn session_of_which_nothing_was_heard_for_a_while_is_read_again() {
    let gate = gatehouse().with_alice();
    let at = |later_ms: u64| {
        let steady = SteadyTime::from_millis(STEADY.as_millis() + later_ms);
        let now = Moment { wall: UnixTime::from_seconds(NOW), steady, ..Moment::default() };
        gate.revocations.contact(steady);
        gate.verdict(&GateRequest::logged_in("/only/7").at(now))
    };
    assert_eq!(slug_of(&at(RECHECK_MS)), PERMITTED);
    let verdict = at(RECHECK_MS + 1);
    assert_eq!(slug_of(&verdict), "store_unavailable");
    let wanted = wanted(&verdict).expect("it is wanted");
    // If nobody can be asked this will do: the revocation list says for how long.
    assert_eq!(wanted.aged.as_ref().map(|session| session.id()), Some(own().id()));
    assert!(verdict.findings.session.is_none(), "but not before somebody was asked");
    // While every change is told, nothing grows old.
    let before = SteadyTime::from_millis(STEADY.as_millis() - 1);
    gate.configuration.gate.sessions.table.notified_from(before);
    let told = SteadyTime::from_millis(STEADY.as_millis() + 500_000);
    gate.configuration.gate.sessions.table.notified_until(told);
    assert_eq!(slug_of(&at(500_000 + RECHECK_MS)), PERMITTED);
    assert_eq!(slug_of(&at(500_000 + RECHECK_MS + 1)), "store_unavailable");
}

/// What is here says only who it was: nobody goes on with that, whatever becomes of the store.
#[test]
fn session_that_has_changed_is_looked_up() {
    let gate = with(&["sessions: {recheck: 1h}"], "").with_alice();
    assert_eq!(after(&gate, 0), PERMITTED);
    gate.configuration.gate.sessions.table.changed(&own().id());
    let verdict = gate.verdict(&GateRequest::logged_in("/only/7"));
    assert_eq!(slug_of(&verdict), "store_unavailable");
    let wanted = wanted(&verdict).expect("it is wanted");
    assert_eq!((wanted.id, wanted.aged.is_none()), (own().id(), true));
    assert!(verdict.findings.session.is_none() && verdict.findings.cache.is_none());
    // What was read since is another copy.
    assert_eq!(after_reading(&gate, &stored(), 0), PERMITTED);
    assert_eq!(after(&gate.with_alice(), 0), PERMITTED);
}

#[test]
fn change_of_a_session_that_is_not_in_memory_is_no_news() {
    let gate = gatehouse();
    gate.configuration.gate.sessions.table.changed(&own().id());
    assert_eq!(after(&gate.with_alice(), 0), PERMITTED);
}

/// That is news of our clock, or of the other's, and not of the session.
#[test]
fn login_of_a_gateway_whose_clock_is_ahead_counts() {
    let gate = gatehouse();
    for ahead_s in [1, 300, 301, 3600] {
        let mut ahead = stored();
        ahead.record.created = UnixTime::from_seconds(NOW + ahead_s);
        ahead.last_seen = ahead.record.created;
        assert_eq!(after_reading(&gate, &ahead, 0), PERMITTED, "{ahead_s}");
    }
}

/// What was rendered for an upstream by the old rules must not be sent by the new ones.
#[test]
fn session_that_was_compiled_by_other_rules_is_read_again_after_a_reload() {
    let gate = gatehouse().with_alice();
    assert_eq!(after(&gate, 0), PERMITTED);
    let same = gate.reload(&text("", ""));
    assert_eq!(after(&same, 0), PERMITTED, "nothing about sessions changed");
    let changed = same.reload(&text("sessions: {absolute_timeout: 1h}", ""));
    let verdict = changed.verdict(&GateRequest::logged_in("/only/7"));
    assert_eq!(slug_of(&verdict), "store_unavailable");
    assert!(wanted(&verdict).is_some_and(|wanted| wanted.aged.is_none()));
}
