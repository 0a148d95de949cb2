//! Reads an identity service's answer, by the JSON pointers of the configuration: who the user is.

use serde_json::{Map, Value};

use crate::config::login::{HandOff, LoggedIn};
use crate::gate::json::{self, JsonError};

/// The longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 255;

/// A 2xx answer that does not say who the user is.
#[derive(Debug, thiserror::Error)]
pub(super) enum MalformedAnswer {
    /// It is not an object, or one that can be read in two ways.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Something is missing, or not what it should be.
    #[error("the {0} in the answer cannot be read")]
    Member(&'static str),
}

/// Reads an answer.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is serde_json's")]
pub(super) fn parse(answer: &[u8], service: &HandOff) -> Result<LoggedIn, MalformedAnswer> {
    let HandOff { subject, roles, scopes, claims, .. } = service;
    let answer = Value::Object(json::parse_object(answer)?);
    // What is absent grants nothing. Some services write `null` for an empty list.
    let find = |pointer: &Option<Box<str>>| {
        pointer
            .as_ref()
            .and_then(|pointer| answer.pointer(pointer))
            .filter(|value| !value.is_null())
    };
    let subject = answer.pointer(subject).and_then(subject_of);
    let roles = find(roles).map_or(Some(Vec::new()), texts);
    let scopes = find(scopes).map_or(Some(Vec::new()), |value| match value {
        Value::String(text) => Some(text.split_ascii_whitespace().map(Into::into).collect()),
        other => texts(other),
    });
    let claims: Map<_, _> = claims
        .iter()
        .filter_map(|(name, pointer)| Some((name.to_string(), answer.pointer(pointer)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect();
    Ok(LoggedIn {
        subject: subject.ok_or(MalformedAnswer::Member("subject"))?,
        roles: roles.ok_or(MalformedAnswer::Member("roles"))?,
        scopes: scopes.ok_or(MalformedAnswer::Member("scopes"))?,
        claims,
    })
}

/// A text or a whole number. Other values can be written in more than one way.
fn subject_of(value: &Value) -> Option<Box<str>> {
    let subject = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return None;
        }
    };
    (1..=SUBJECT_BYTES_MAX).contains(&subject.len()).then(|| subject.into())
}

fn texts(value: &Value) -> Option<Vec<Box<str>>> {
    value.as_array()?.iter().map(|item| item.as_str().map(Into::into)).collect()
}
