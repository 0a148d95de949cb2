//! What an entry of the list is compiled from.

use super::*;
use crate::gate::forward::{IdentityTemplate, OwnedName};
use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};

fn identity() -> IdentityTemplate {
    let name = || OwnedName::new("x-name").expect("a name");
    IdentityTemplate {
        subject: name(),
        issuer: name(),
        scopes: name(),
        roles: name(),
        session: name(),
        claims: Vec::new(),
    }
}

fn rules(lifetime_max_s: i64, clock_skew_s: i64) -> IssuerRules {
    IssuerRules {
        clock_ahead_s: clock_skew_s,
        dated_by: DatedBy::Issue,
        identity_bytes_max: 8192,
        name: "test".into(),
        issuer: ISSUER.into(),
        audiences: Vec::new(),
        algorithms: Vec::new(),
        clock_skew_s,
        lifetime_max_s,
        token_types: Vec::new(),
        untyped: Untyped::Refused,
        required_claims: Vec::new(),
        roles_pointer: "/roles".into(),
        client_claims: Vec::new(),
        asked_claims: Vec::new(),
        identity: std::sync::Arc::new(identity()),
    }
}

fn compile(scope: Scope, before: Option<i64>) -> (UnixTime, UnixTime) {
    let all = [rules(3600, 30).reach_s(), rules(60, 500).reach_s()];
    let before = before.map(UnixTime::from_seconds);
    let Entry { cut_off, expires, .. } = Entry::compile(scope, before, None, all, NOW);
    (cut_off, expires)
}

#[test]
fn entry_lives_as_long_as_the_longest_token_that_it_can_hit() {
    let subject = || Scope::Subject { issuer: None, subject: "a".into() };
    assert_eq!(compile(subject(), None), (NOW, NOW.plus(3660)));
    let earlier = NOW.plus(-600);
    let expected = (earlier, earlier.plus(3660));
    assert_eq!(compile(subject(), Some(earlier.as_seconds())), expected);
    assert_eq!(compile(Scope::Everything, None), (NOW, NOW.plus(3660)));
}

#[test]
fn tokens_and_sessions_are_cut_off_whenever_they_were_issued() {
    let token = Scope::Token { issuer: ISSUER.into(), id: "1".into() };
    assert_eq!(compile(token.clone(), Some(5)), (UnixTime::NEVER, NOW.plus(3660)));
    let ends = NOW.plus(SESSION_S + 3660);
    assert_eq!(compile(Scope::Session("s".into()), None), (UnixTime::NEVER, ends));
    let dies = NOW.plus(77);
    let entry = Entry::compile(token, None, Some(dies), [rules(3600, 30).reach_s()], NOW);
    assert_eq!((entry.cut_off, entry.expires), (UnixTime::NEVER, dies));
}

/// An attacker who stole it can continue to sign, with any `iat`.
#[test]
fn key_is_cut_off_for_good_unless_a_time_is_given() {
    let key = || Scope::Key { issuer: None, id: "k".into() };
    assert_eq!(compile(key(), None), (UnixTime::NEVER, UnixTime::NEVER));
    assert_eq!(compile(key(), Some(5)).0, UnixTime::from_seconds(5));
}
