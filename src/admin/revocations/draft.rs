//! Reads what an operator asks to have cut off: a draft of a record.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::admin::input::{self, bad, id, known_issuer};
use crate::admin::problem::Problem;
use crate::admin::revocation_change::RevocationChange;
use crate::admin::revocations::reach;
use crate::clock;
use crate::gate::denial::Slug;
use crate::gate::revocation::{Entry, Scope, ScopeKind};
use crate::gate::time::UnixTime;
use crate::runtime::Running;

/// How far ahead a cut-off may lie, in seconds: until then nobody in the scope can log in.
const CUT_OFF_AHEAD_MAX_S: i64 = 24 * 3600;

/// The word for it in the audit log.
const AUDIT: &str = "revoke";

/// The body of `POST /v1/revocations`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct RevocationDraft {
    scope: ScopeKind,
    token: Option<String>,
    jti: Option<String>,
    session: Option<String>,
    subject: Option<String>,
    client: Option<String>,
    key: Option<String>,
    /// `iss`, or the name of the issuer in the configuration.
    issuer: Option<String>,
    /// A time: seconds since 1970, or RFC 3339.
    before: Option<Value>,
    reason: Option<String>,
    actor: Option<String>,
    wait_ms: Option<u64>,
}

impl RevocationDraft {
    /// What is to be done.
    pub(super) fn compile(
        self,
        configuration: &Running,
        now: UnixTime,
    ) -> Result<RevocationChange, Problem> {
        let before = self.before.as_ref().map(|before| cut_off(before, now)).transpose()?;
        let wait = self.wait_ms.map(Duration::from_millis);
        let reason = input::reason(self.reason.clone())?;
        let actor = input::actor(self.actor.clone())?;
        let (scope, token_dies) = self.scope(configuration, now)?;
        if before.is_some() && matches!(scope, Scope::Token { .. } | Scope::Session(_)) {
            return bad(
                "`before` has no effect on one token or session: it is revoked whatever its time",
            );
        }
        if let Some(why) = reach::nothing_to_hit(&scope, configuration) {
            return bad(why);
        }
        let reaches_s = configuration.reaches_s(&scope);
        let entry = Entry::compile(scope, before, token_dies, reaches_s, now);
        if entry.is_spent(now) {
            return bad("everything that was issued until then has expired already");
        }
        Ok(RevocationChange::new(AUDIT, entry, actor, reason, wait))
    }

    /// The first field that was given and means nothing for the scope.
    fn misplaced(&self) -> Option<&'static str> {
        let Self { scope, token, jti, session, subject, client, key, issuer, .. } = self;
        let given = [
            ("token", token.is_some(), matches!(scope, ScopeKind::Token)),
            ("jti", jti.is_some(), matches!(scope, ScopeKind::Token)),
            ("session", session.is_some(), matches!(scope, ScopeKind::Session)),
            ("subject", subject.is_some(), matches!(scope, ScopeKind::Subject)),
            ("client", client.is_some(), matches!(scope, ScopeKind::Client)),
            ("key", key.is_some(), matches!(scope, ScopeKind::Key)),
            (
                "issuer",
                issuer.is_some(),
                matches!(
                    scope,
                    ScopeKind::Token | ScopeKind::Subject | ScopeKind::Key | ScopeKind::Issuer
                ),
            ),
        ];
        given.iter().find(|(_, given, fits)| *given && !*fits).map(|(name, ..)| *name)
    }

    /// Whom it is about, and when the token that is meant dies, if that is known.
    fn scope(
        self,
        configuration: &Running,
        now: UnixTime,
    ) -> Result<(Scope, Option<UnixTime>), Problem> {
        if let Some(name) = self.misplaced() {
            return bad(format!("`{name}` does not belong to this scope"));
        }
        let Self { scope, token, jti, session, subject, client, key, issuer, .. } = self;
        let issuer = issuer.map(|issuer| known_issuer(configuration, &issuer)).transpose()?;
        let issuer_iss = || issuer.clone();
        let scope = match scope {
            ScopeKind::Token => match (token, jti) {
                (Some(token), None) if issuer.is_none() => {
                    let (scope, dies) = verified(configuration, &token, now)?;
                    return Ok((scope, Some(dies)));
                }
                (Some(_), _) => return bad("`token` says all there is to say; leave the rest out"),
                (None, jti) => {
                    let Some(issuer) = issuer_iss() else {
                        return bad("`issuer` is missing: ids of tokens are the issuer's own");
                    };
                    Scope::Token { issuer, id: id(jti, "jti")? }
                }
            },
            ScopeKind::Session => Scope::Session(id(session, "session")?),
            ScopeKind::Subject => {
                Scope::Subject { issuer: issuer_iss(), subject: id(subject, "subject")? }
            }
            ScopeKind::Client => Scope::Client(id(client, "client")?),
            ScopeKind::Key => Scope::Key { issuer: issuer_iss(), id: id(key, "key")? },
            ScopeKind::Issuer => match issuer_iss() {
                Some(issuer) => Scope::Issuer(issuer),
                None => return bad("`issuer` is missing"),
            },
            ScopeKind::Everything => Scope::Everything,
            ScopeKind::Grants => {
                return bad(
                    "only the gateway makes revocations of the scope `grants`; revoke the \
                     subject instead",
                );
            }
        };
        Ok((scope, None))
    }
}

fn cut_off(before: &Value, now: UnixTime) -> Result<UnixTime, Problem> {
    const FORMS: &str = "is not a time; write 2026-01-31T12:00:00Z or seconds since 1970";
    let time = match (before.as_i64(), before.as_str()) {
        (Some(seconds), _) if seconds < 0 => return bad("`before` is before 1970"),
        (Some(seconds), _) => UnixTime::from_seconds(seconds),
        (None, Some(text)) => {
            match humantime::parse_rfc3339(text).ok().and_then(clock::unix_time) {
                Some(time) => time,
                None => return bad(format!("`before`: `{text}` {FORMS}")),
            }
        }
        (None, None) => return bad(format!("`before` {FORMS}")),
    };
    if time.since(now) > CUT_OFF_AHEAD_MAX_S {
        return bad("`before` is more than a day ahead");
    }
    Ok(time)
}

/// The scope of a whole token, by its verified claims: never by its text, which others could write
/// in another way.
fn verified(
    configuration: &Running,
    token: &str,
    now: UnixTime,
) -> Result<(Scope, UnixTime), Problem> {
    let gate = &configuration.gate;
    let all: Vec<_> = (0..gate.issuers.len()).collect();
    let verification = gate.verifier.verify(token.trim(), &gate.issuers, &all, now);
    let authentic = match verification.result {
        Ok(authentic) => authentic,
        Err(refusal) => {
            let denial = refusal.denial();
            let slug = denial.slug();
            if matches!(slug, Slug::KeysUnavailable | Slug::TokenKeyUnknown) {
                return bad(format!(
                    "the token cannot be verified here: {}; revoke it by `jti` and `issuer`",
                    slug.as_str()
                ));
            }
            let (name, reason) = (slug.as_str(), denial.reason());
            return bad(format!("the token is not acceptable anyway: {name} ({reason})"));
        }
    };
    if authentic.end() <= now {
        return bad("the token has expired, and is not accepted any more");
    }
    let issuer = verification.issuer.map(|issuer| issuer.rules().issuer.clone());
    match (issuer, authentic.token_id()) {
        (Some(issuer), Some(id)) => Ok((Scope::Token { issuer, id: id.into() }, authentic.end())),
        (_, _) => bad("the token has no `jti` by which it could be told apart; revoke its subject"),
    }
}
