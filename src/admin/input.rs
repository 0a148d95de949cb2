//! Reads what operators write, within limits: the target, the actor, and the reason.

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::{JsonRejection, QueryRejection};

use super::problem::Problem;
use crate::gate::issuer::IssuerRules;
use crate::runtime::Running;

const ID_BYTES_MAX: usize = 1024;
const REASON_BYTES_MAX: usize = 512;
const ACTOR_BYTES_MAX: usize = 128;
const LABEL_BYTES_MAX: usize = 128;

/// The actor, if the request names none.
const ACTOR_DEFAULT: &str = "admin";

/// The refusal of what makes no sense.
pub(super) fn bad<T>(detail: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::BadRequest(detail.into()))
}

/// A query that was understood.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::BadRequest(rejection.body_text()))?;
    Ok(query)
}

/// A body that was understood.
pub(super) fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    let Json(body) = body.map_err(|rejection| Problem::BadRequest(rejection.body_text()))?;
    Ok(body)
}

/// Why something is done.
pub(super) fn reason(text: Option<String>) -> Result<Box<str>, Problem> {
    bounded(text.unwrap_or_default(), "reason", REASON_BYTES_MAX)
}

/// What something is called.
pub(super) fn label(text: Option<String>) -> Result<Box<str>, Problem> {
    bounded(text.unwrap_or_default(), "label", LABEL_BYTES_MAX)
}

/// Who does it.
pub(super) fn actor(text: Option<String>) -> Result<Box<str>, Problem> {
    bounded(text.unwrap_or_else(|| ACTOR_DEFAULT.to_owned()), "actor", ACTOR_BYTES_MAX)
}

/// Whom or what it is about: the value of the field `name`, which must be there.
pub(super) fn id(text: Option<String>, name: &str) -> Result<Box<str>, Problem> {
    match text {
        Some(text) if text.is_empty() => bad(format!("`{name}` is empty")),
        Some(text) => bounded(text, name, ID_BYTES_MAX),
        None => bad(format!("`{name}` is missing")),
    }
}

fn bounded(text: String, name: &str, bytes_max: usize) -> Result<Box<str>, Problem> {
    if text.len() > bytes_max {
        return bad(format!("`{name}` is longer than {bytes_max} bytes"));
    }
    Ok(text.into())
}

/// An issuer of the configuration, by its name or its `iss`. An unknown issuer is refused: how long
/// its tokens live is not known, and the name is probably misspelt.
pub(super) fn known_issuer(configuration: &Running, named: &str) -> Result<Box<str>, Problem> {
    let find = |is_meant: fn(&IssuerRules) -> &str| {
        configuration.issuers().find(|issuer| is_meant(issuer.rules()) == named)
    };
    match (find(|rules| &rules.issuer), find(|rules| &rules.name)) {
        (Some(issuer), Some(other)) if issuer.id() != other.id() => {
            bad(format!("`{named}` is the `iss` of one issuer and the name of another"))
        }
        (Some(issuer), _) | (None, Some(issuer)) => Ok(issuer.rules().issuer.clone()),
        (None, None) => {
            let keys = configuration.settings.api_keys.iter().map(|keys| &keys.issuer);
            let login = configuration.settings.login.iter().map(|login| &login.issuer).chain(keys);
            if let Some(own) = login.clone().find(|own| ***own == *named) {
                return Ok(own.clone());
            }
            let known = configuration.issuers().map(|issuer| &*issuer.rules().name);
            let mut known: Vec<_> = known.chain(login.map(|own| &**own)).collect();
            known.sort_unstable();
            known.dedup();
            bad(format!("there is no issuer `{named}`; known are: {}", known.join(", ")))
        }
    }
}
